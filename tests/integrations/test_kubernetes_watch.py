"""Listing and watching against a small server that behaves as the API server does, on its bad days
too.
"""

from itertools import islice

import pytest

from apps.integrations.kubernetes import watch as watching
from apps.integrations.kubernetes.types import Kind
from apps.integrations.kubernetes.watch import Alive, Changed, Listed, Lost, Opened, watch
from tests.integrations.api_double import ApiDouble, listed, refuse, stream


def obj(name, version):
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


BOOKMARK = ("BOOKMARK", {"metadata": {"resourceVersion": "50"}})
FORGOTTEN = ("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


@pytest.fixture
def api():
    double = ApiDouble()
    yield double
    double.close()


@pytest.fixture
def follow(api):
    """Return the first messages that following pods brings, and how long it slept between them."""
    slept: list[float] = []

    def messages(
        count, kind=Kind.POD, namespace="models", read=lambda found: found["metadata"]["name"]
    ):
        found = watch(api.connection, kind, read, namespace=namespace, sleep=slept.append)
        return list(islice(found, count))

    messages.slept = slept
    return messages


class TestWatch:
    def test_lists_then_follows_from_the_lists_version(self, api, follow):
        api.answers = [
            listed(7, obj("a", 5)),
            stream(("MODIFIED", obj("a", 8)), ("DELETED", obj("a", 9))),
        ]
        assert follow(4) == [Listed(["a"]), Opened(), Changed("a"), Changed("a", gone=True)]
        path, query = api.asked[1]
        assert path == "/api/v1/namespaces/models/pods"
        assert (query["watch"], query["resourceVersion"], query["allowWatchBookmarks"]) == (
            "1",
            "7",
            "true",
        )

    def test_lists_in_pages(self, api, follow):
        api.answers = [listed(7, obj("a", 1), more="next"), listed(7, obj("b", 2))]
        assert follow(1) == [Listed(["a", "b"])]
        assert api.asked[1][1]["continue"] == "next"

    def test_leaves_out_what_is_not_wanted_and_knows_that_the_stream_lives(self, api, follow):
        api.answers = [listed(7, obj("a", 1)), stream(("ADDED", obj("b", 8)))]
        assert follow(3, read=lambda found: None) == [Listed([]), Opened(), Alive()]

    def test_resumes_a_stream_that_ended_from_the_last_bookmark(self, api, follow):
        api.answers = [
            listed(7),
            stream(("ADDED", obj("a", 8)), BOOKMARK),
            stream(("ADDED", obj("b", 51))),
        ]
        assert follow(6) == [Listed([]), Opened(), Changed("a"), Alive(), Opened(), Changed("b")]
        assert api.asked[2][1]["resourceVersion"] == "50"

    def test_resumes_after_a_broken_stream_without_listing(self, api, follow):
        api.answers = [
            listed(7),
            stream(("ADDED", obj("a", 8)), broken=True),
            stream(("ADDED", obj("b", 9))),
        ]
        found = follow(6)
        assert found[2:] == [
            Changed("a"),
            Lost("The stream broke off (ProtocolError)."),
            Opened(),
            Changed("b"),
        ]
        assert api.asked[2][1]["resourceVersion"] == "8"

    @pytest.mark.parametrize("how", ["in the stream", "as a status"])
    def test_lists_anew_when_the_version_is_forgotten(self, api, follow, how):
        forgotten = stream(FORGOTTEN) if how == "in the stream" else refuse(410)
        api.answers = [
            listed(7),
            forgotten,
            listed(90, obj("a", 80)),
            stream(("ADDED", obj("b", 91))),
        ]
        found = [
            message for message in follow(5 if how == "in the stream" else 4) if message != Opened()
        ]
        assert found == [Listed([]), Listed(["a"]), Changed("b")]
        assert api.asked[3][1]["resourceVersion"] == "90"

    def test_says_why_the_server_ended_a_stream_and_resumes_it(self, api, follow):
        overloaded = ("ERROR", {"code": 500, "reason": "InternalError", "message": "etcd leads"})
        api.answers = [
            listed(7),
            stream(("ADDED", obj("a", 8)), overloaded),
            stream(("ADDED", obj("b", 9))),
        ]
        found = follow(6)
        assert found[3] == Lost("The cluster ended the stream: InternalError: etcd leads")
        assert found[4:] == [Opened(), Changed("b")]
        assert api.asked[2][1]["resourceVersion"] == "8"

    @pytest.mark.parametrize("line", [b"not json", b'{"type": "ADDED"}', b'{"type": "ERROR"}'])
    def test_loses_no_change_behind_a_line_that_it_cannot_read(self, api, follow, line):
        api.answers = [
            listed(7),
            stream(("ADDED", obj("a", 8)), line),
            stream(("ADDED", obj("b", 9))),
        ]
        found = follow(6)
        assert found[3].message.startswith("The stream broke off (")
        assert not found[3].silent
        assert found[4:] == [Opened(), Changed("b")]
        assert api.asked[2][1]["resourceVersion"] == "8"

    def test_tells_a_silent_stream_from_a_broken_one(self, api, follow, monkeypatch):
        monkeypatch.setattr(watching, "SILENCE_SECONDS", 0.2)
        api.answers = [
            listed(7),
            stream(("ADDED", obj("a", 8)), silent=1.0),
            stream(("ADDED", obj("b", 9))),
        ]
        found = follow(6)
        assert found[2:4] == [
            Changed("a"),
            Lost("The stream broke off (nothing came).", silent=True),
        ]
        assert found[4:] == [Opened(), Changed("b")]

    def test_begins_a_list_anew_when_its_next_page_came_too_late(self, api, follow):
        api.answers = [listed(7, obj("a", 1), more="next"), refuse(410), listed(9, obj("b", 8))]
        assert follow(1) == [Listed(["b"])]

    @pytest.mark.parametrize("status", [403, 401, 404])
    def test_waits_for_a_server_that_has_just_started(self, api, follow, status):
        api.answers = [refuse(status), refuse(status), listed(7, obj("a", 1))]
        lost, still, there = follow(3)
        assert (type(lost), type(still), there) == (Lost, Lost, Listed(["a"]))
        assert 0.5 <= follow.slept[0] < 1.0 <= follow.slept[1]

    def test_takes_a_refused_list_for_no_empty_one(self, api, follow):
        api.answers = [listed(7, obj("a", 1)), stream(FORGOTTEN), refuse(404), refuse(403)]
        assert Listed([]) not in follow(4)

    def test_waits_ever_longer_while_the_server_is_away(self, api, follow):
        api.close()
        assert all(isinstance(message, Lost) for message in follow(9))
        assert follow.slept[0] < 1
        assert 30 <= follow.slept[-1] <= 45

    def test_leaves_out_an_object_that_cannot_be_read_and_goes_on(self, api, follow):
        odd = {"metadata": {"resourceVersion": "8"}}
        api.answers = [listed(7, odd), stream(("ADDED", odd), ("ADDED", obj("a", 9)))]
        assert follow(4) == [Listed([]), Opened(), Alive(), Changed("a")]
