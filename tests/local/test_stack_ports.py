"""Ports of the local stack: kept, moved where taken, never the same for two names."""

from __future__ import annotations

import json
import socket

import pytest

from deploy.local.stack import ports
from deploy.local.stack.ports import PortBook, free_port, is_free


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free():
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class TestPortBook:
    def test_takes_the_preferred_port_where_it_is_free(self, tmp_path, free):
        book = PortBook(tmp_path / "ports.json")
        assert book("portal", free) == free and book.moves == []

    def test_keeps_the_port_over_a_restart(self, tmp_path, free):
        PortBook(tmp_path / "ports.json")("portal", free)
        assert PortBook(tmp_path / "ports.json")("portal", 1) == free

    def test_moves_from_a_taken_port_and_says_so(self, tmp_path, taken):
        book = PortBook(tmp_path / "ports.json")
        port = book("portal", taken)
        assert port != taken and is_free(port)
        assert book.moves == [f"port {taken} is taken by another program: portal listens on {port}"]

    def test_moves_a_kept_port_that_was_taken_meanwhile(self, tmp_path, free):
        PortBook(tmp_path / "ports.json")("portal", free)
        with socket.create_server(("127.0.0.1", free)):
            again = PortBook(tmp_path / "ports.json")
            assert again("portal", free) != free and len(again.moves) == 1

    def test_are_where_they_were_while_the_stack_itself_runs_on_them(self, tmp_path, taken):
        book = tmp_path / "ports.json"
        book.write_text(json.dumps({"portal": taken}))
        assert PortBook(book, running=True)("portal", 1) == taken
        assert json.loads(book.read_text()) == {"portal": taken}
        assert PortBook(book, running=True)("envoy", taken) != taken

    def test_sees_a_program_that_listens_on_every_address(self, tmp_path):
        with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104 (that is the case)
            port = server.getsockname()[1]
            assert PortBook(tmp_path / "ports.json")("portal", port) != port

    def test_never_gives_one_port_to_two_names(self, tmp_path, free):
        book = PortBook(tmp_path / "ports.json")
        assert len({book(name, free) for name in "abcdef"}) == 6

    def test_stays_away_from_preferred_ports_when_told_to(self, tmp_path, free):
        book = PortBook(tmp_path / "ports.json", own_range=True)
        assert book("portal", free) != free and book.moves == []


def test_a_port_just_handed_out_is_nobody_elses_though_no_server_listens_on_it_yet(monkeypatch):
    monkeypatch.setattr(ports, "FREE_RANGE", [port := free_port(), second := free_port()])
    monkeypatch.setattr(ports, "HELD", 3600.0)
    with pytest.raises(StopIteration):
        free_port()
    monkeypatch.setattr(ports, "HELD", 0.0)
    assert free_port() in (port, second)
