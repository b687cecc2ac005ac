"""What ServiceNow answers, as its documents show it, and what comes of it."""

from datetime import UTC, datetime

import httpx
import pytest

from apps.integrations.errors import NotFound, PermanentError, Refused, TemporaryError
from apps.integrations.servicenow import addresses
from apps.integrations.servicenow import client as module
from apps.integrations.servicenow.client import MOST_PAGES, PAGE, ServiceNowClient
from apps.integrations.servicenow.parsing import Untrue

TOKEN = {
    "access_token": "t0ken", "refresh_token": "r", "scope": "useraccount", "token_type": "Bearer",
    "expires_in": 1799,
}  # fmt: skip
SYS_ID = "1766f1de47410200e90d87e8dee490f6"
OURS = "quartermaster:normal:42"


def both(value, shown=None):
    return {"value": value, "display_value": value if shown is None else shown}


def row(**more):
    return {
        "sys_id": both(SYS_ID), "number": both("CHG0000024"), "correlation_id": both(OURS),
        "state": both("-5", "New"), "approval": both("not requested", "Not Yet Requested"),
        "on_hold": both("false"), "start_date": both("2026-01-10 02:00:00", "2026-01-09 21:00:00"),
        "end_date": both(""), "description": both("one\r\ntwo "),
    } | more  # fmt: skip


INCIDENT = {
    "sys_id": both(SYS_ID), "number": both("INC0010112"), "correlation_id": both(OURS),
    "state": both("2", "In Progress"), "assigned_to": both("46d44a", "Robin"),
    "work_notes": both("", "2026-01-10 02:00:00 - Portal\nnote 1"),
}  # fmt: skip


class Replay:
    """Answers with what was recorded, one after the other, and keeps what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, request):
        if request.url.path == "/oauth_token.do":
            self.asked.append(request)
            return httpx.Response(200, json=TOKEN)
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    @property
    def client(self):
        return ServiceNowClient(
            "https://acme.service-now.com", client_id="quartermaster", client_secret="s3cret",
            transport=httpx.MockTransport(self),
        )  # fmt: skip

    def of_api(self):
        return [request for request in self.asked if request.url.path != "/oauth_token.do"]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("apps.integrations.http.time.sleep", lambda _: None)


class TestChangesWith:
    def test_reads_values_not_what_is_displayed(self):
        (change,) = Replay({"result": [row()]}).client.changes_with(OURS)
        assert (change.number, change.state, change.state_words) == ("CHG0000024", "-5", "New")
        assert change.starts_at == datetime(2026, 1, 10, 2, tzinfo=UTC)
        assert change.ends_at is None
        assert change.on_hold is False
        assert change.fields == {"description": "one\ntwo"}

    def test_asks_for_this_id_in_a_stable_order(self):
        replay = Replay({"result": []})
        assert replay.client.changes_with(OURS) == []
        (asked,) = replay.of_api()
        assert asked.url.path == "/api/now/table/change_request"
        query = asked.url.params["sysparm_query"]
        assert query == f"correlation_id={OURS}^ORDERBYsys_created_on^ORDERBYsys_id"
        assert asked.headers["authorization"] == "Bearer t0ken"
        assert asked.headers["accept"] == "application/json"

    def test_does_not_believe_a_widened_query(self):
        replay = Replay({"result": [row(), row(correlation_id=both("other"))]})
        with pytest.raises(Untrue, match="others than were asked for"):
            replay.client.changes_with(OURS)

    def test_goes_on_after_a_short_page_that_names_a_next_one(self):
        link = {"Link": '<https://evil.example/next>;rel="next"'}
        replay = Replay(httpx.Response(200, json={"result": []}, headers=link), {"result": [row()]})
        assert len(replay.client.changes_with(OURS)) == 1
        first, second = replay.of_api()
        assert (first.url.host, second.url.host) == ("acme.service-now.com",) * 2
        assert second.url.params["sysparm_offset"] == str(PAGE)

    def test_does_not_read_pages_without_end(self):
        link = {"Link": '</next>;rel="next"'}
        pages = [
            httpx.Response(200, json={"result": [row()]}, headers=link) for _ in range(MOST_PAGES)
        ]
        with pytest.raises(Untrue, match="more records"):
            Replay(*pages).client.changes_with(OURS)

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ([], "without a result"),
            ({"result": {"sys_id": "x"}}, "a list of records"),
            ({"result": [row(sys_id=both("../oauth"))]}, "without its id"),
            ({"result": [row(state=both(""))]}, "without its state"),
            ({"result": [row(number=both("CHG" * 20))]}, "without its number"),
            ({"result": [row(end_date=both("10/01/2026"))]}, "end_date that is no time"),
            ({"result": [], "status": "failure"}, "without a result"),
        ],
    )
    def test_refuses_what_cannot_be_read(self, body, words):
        with pytest.raises(Untrue, match=words):
            Replay(body).client.changes_with(OURS)

    def test_takes_only_text_that_the_database_takes(self):
        (change,) = Replay({"result": [row(description=both("a\0b"))]}).client.changes_with(OURS)
        assert change.fields["description"] == "ab"

    def test_an_answer_that_is_no_json(self):
        with pytest.raises(PermanentError, match="not JSON"):
            Replay(httpx.Response(200, text="<html>")).client.changes_with(OURS)


class TestErrors:
    BUSY = {"error": {"message": "Rate limit exceeded", "detail": "100 an hour"}}

    def test_honors_retry_after(self):
        busy = httpx.Response(429, json=self.BUSY, headers={"Retry-After": "1740"})
        replay = Replay(busy)
        with pytest.raises(TemporaryError) as error:
            replay.client.change(SYS_ID)
        assert error.value.retry_after == 1740
        assert len(replay.of_api()) == 1

    def test_repeats_reading_but_never_making(self):
        away = [httpx.Response(503), httpx.ReadTimeout("slow"), {"result": row()}]
        assert Replay(*away).client.change(SYS_ID).number == "CHG0000024"
        replay = Replay(httpx.ReadTimeout("slow"))
        with pytest.raises(TemporaryError, match="in time"):
            replay.client.open_change({"type": "normal"})
        assert len(replay.of_api()) == 1

    def test_takes_a_new_token_once_where_the_old_one_is_refused(self):
        refused = httpx.Response(401, json={"error": {"message": "User Not Authenticated"}})
        replay = Replay(refused, {"result": row()})
        assert replay.client.change(SYS_ID).sys_id == SYS_ID
        assert [request.url.path for request in replay.asked].count("/oauth_token.do") == 2
        with pytest.raises(Refused, match="User Not Authenticated"):
            Replay(refused, refused).client.change(SYS_ID)

    def test_keeps_its_token_until_shortly_before_its_end(self, monkeypatch):
        clock = [1000.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
        replay = Replay(*[{"result": row()}] * 3)
        client = replay.client
        for moment in (1000.0, 1000.0 + 1738, 1000.0 + 1740):
            clock[0] = moment
            client.change(SYS_ID)
        assert [request.url.path for request in replay.asked].count("/oauth_token.do") == 2

    def test_says_what_servicenow_says_and_no_secret(self):
        said = {"error": {"message": "Operation Failed", "detail": "Close code is mandatory"}}
        with pytest.raises(PermanentError) as error:
            Replay(httpx.Response(400, json=said)).client.open_change({})
        assert "Operation Failed: Close code is mandatory" in str(error.value)
        assert "s3cret" not in str(error.value)

    def test_a_change_that_is_not_there(self):
        with pytest.raises(NotFound):
            Replay(httpx.Response(404, json={"error": {}})).client.change(SYS_ID)

    def test_an_instance_that_gives_no_token(self, monkeypatch):
        monkeypatch.setitem(TOKEN, "access_token", None)
        with pytest.raises(PermanentError, match="gave no token"):
            Replay().client.change(SYS_ID)


class TestOpenChange:
    def test_takes_200_and_what_was_ignored(self):
        replay = Replay({"result": row(__meta={"ignoredFields": ["foo"]})})
        assert replay.client.open_change({"type": "normal"}) == (SYS_ID, ["foo"])
        (asked,) = replay.of_api()
        assert (asked.method, asked.url.path) == ("POST", "/api/sn_chg_rest/change")
        assert asked.headers["content-type"] == "application/json"


class TestMoveChange:
    def test_reads_back_where_it_is(self):
        moved = row(state=both("-1", "Implement"))
        replay = Replay({"result": [moved]}, {"result": moved})
        assert replay.client.move_change(SYS_ID, "-1", {}).state_words == "Implement"
        assert [request.method for request in replay.of_api()] == ["PATCH", "GET"]

    def test_does_not_believe_a_step_that_was_not_taken(self):
        replay = Replay({"result": [row(state=both("-1"))]}, {"result": row()})
        with pytest.raises(Untrue, match="CHG0000024 is still in New"):
            replay.client.move_change(SYS_ID, "-1", {})

    def test_does_not_accept_ignored_fields(self):
        replay = Replay({"result": [row(__meta={"ignoredFields": ["close_code"]})]})
        with pytest.raises(Untrue, match="ignored what was written: close_code"):
            replay.client.move_change(SYS_ID, "3", {"close_code": "successful"})


class TestNextStates:
    def test_reads_the_states_and_nothing_else(self):
        body = {"result": {"available_states": ["-4", "4"], "state_transitions": [[]]}}
        assert Replay(body).client.next_states(SYS_ID) == ["-4", "4"]
        with pytest.raises(Untrue):
            Replay({"result": {"state_label": {}}}).client.next_states(SYS_ID)


class TestConflictCheck:
    @pytest.mark.parametrize(
        ("job", "last_run", "is_finished"),
        [
            ("Complete", "2026-01-10 02:00:00", True),
            ("Running", "2026-01-10 02:00:00", False),
            ("In Progress", "2026-01-10 02:00:00", False),
            ("Complete", "", False),
        ],
    )
    def test_is_finished_by_its_job_not_by_its_status(self, job, last_run, is_finished):
        result = {
            "status": both("Conflict"), "job_status": both(job), "last_run": both(last_run),
            "conflicts": [],
        }  # fmt: skip
        check = Replay({"result": result}).client.conflict_check(SYS_ID)
        assert (check.is_finished, check.found) == (is_finished, ())

    def test_words_each_conflict(self):
        result = {
            "last_run": "2026-01-10 02:00:00", "job_status": "complete",
            "conflicts": [{"type": both("blackout", "Blackout"), "schedule": "Year end"}, 7, {}],
        }  # fmt: skip
        check = Replay({"result": result}).client.conflict_check(SYS_ID)
        assert check.found == ("Blackout; Year end", "7", "a conflict without words")

    def test_needs_the_conflicts_themselves(self):
        with pytest.raises(Untrue):
            Replay({"result": {"status": both("No Conflict")}}).client.conflict_check(SYS_ID)


class TestIncidents:
    def test_are_read_with_their_journal(self):
        (incident,) = Replay({"result": [INCIDENT]}).client.incidents_with(OURS)
        assert (incident.number, incident.state, incident.assigned_to) == (
            "INC0010112", "2", "46d44a",
        )  # fmt: skip
        assert "note 1" in incident.notes

    def test_are_opened_noted_and_resolved(self):
        replay = Replay(
            httpx.Response(201, json={"result": INCIDENT}),
            {"result": INCIDENT},
            {"result": INCIDENT},
        )
        client = replay.client
        assert client.open_incident({"short_description": "Drift"}).sys_id == SYS_ID
        client.add_note(SYS_ID, "again")
        client.resolve_incident(SYS_ID, code="Solved (Permanently)", notes="Right again.")
        methods = [request.method for request in replay.of_api()]
        assert methods == ["POST", "PATCH", "PATCH"]
        with pytest.raises(Untrue):
            Replay({"result": [INCIDENT]}).client.incidents_with("other")


class TestFromSettings:
    def test_there_is_none_without_an_address(self, settings):
        module.client_from_settings.cache_clear()
        assert module.client_from_settings() is None
        assert addresses.page_of("incident", SYS_ID) == ""

    def test_speaks_to_the_address_of_the_settings(self, settings):
        settings.SERVICENOW_URL = "https://acme.service-now.com"
        settings.SERVICENOW_CLIENT_SECRET = "s3cret"
        module.client_from_settings.cache_clear()
        try:
            made = module.client_from_settings()
            assert isinstance(made, ServiceNowClient)
            assert module.client_from_settings() is made
        finally:
            module.client_from_settings.cache_clear()
        assert addresses.page_of("incident", "") == ""
