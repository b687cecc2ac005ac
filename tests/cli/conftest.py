"""The command line against the portal in this process, as a person or a pipeline."""

import json
from functools import partial

import pytest

from apps.cli import publishing, session
from apps.cli.__main__ import run
from apps.cli.portal import Portal
from apps.cli.storage import Storage
from tests.cli.wires import PORTAL, ByAddress, line_to
from tests.portal import cast


@pytest.fixture
def wire():
    """Leads to the portal in this process, and to the network."""
    found = ByAddress()
    yield found
    found.close()


@pytest.fixture
def quick(monkeypatch, wire):
    """The command line with that wire, and without waits."""
    here = partial(Portal, transport=wire, sleep=lambda seconds: None)
    monkeypatch.setattr(session, "Portal", here)
    monkeypatch.setattr(publishing, "Storage", partial(Storage, sleep=lambda seconds: None))
    monkeypatch.setattr("apps.cli.waits.time.sleep", lambda seconds: None)


@pytest.fixture
def cli(quick, monkeypatch, tmp_path, capsys):
    """Run a command as alice: gives its exit code, what it answered and what it said."""
    config = tmp_path / "config"
    monkeypatch.setenv("QUARTERMASTER_CONFIG", str(config))
    monkeypatch.setenv("QUARTERMASTER_URL", PORTAL)
    monkeypatch.setenv("QUARTERMASTER_TOKEN", "alice")
    for name in ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def command(*words):
        code = run([str(word) for word in words])
        said = capsys.readouterr()
        answer = json.loads(said.out) if "--json" in words and said.out else said.out
        return code, answer, said.err

    return command


@pytest.fixture
def people(monkeypatch, alice, charlie):
    """Tokens of people: their user names."""

    def verify(token, audience, **more):
        person = {"alice": alice, "charlie": charlie}[token]
        return {
            "iss": person.issuer, "sub": person.subject, "preferred_username": person.username,
            "name": person.name, "groups": [cast.GROUP_OF_ROLE[role] for role in person.roles],
            "team": person.team.slug, "cost_center": person.team.cost_center.code,
        }  # fmt: skip

    monkeypatch.setattr("apps.accounts.oidc.verify", verify)


@pytest.fixture
def line(s3_server, monkeypatch):
    """A line to S3 that can be made to fail; the portal signs addresses of it."""
    from apps.integrations.s3.client import client_from_settings

    with line_to(s3_server) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{found.port}")
        client_from_settings.cache_clear()
        yield found
    client_from_settings.cache_clear()
