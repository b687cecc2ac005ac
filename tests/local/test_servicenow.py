"""The double of ServiceNow, over HTTP: its contract, with the traps, and its page."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from apps.integrations.errors import TemporaryError
from apps.integrations.servicenow.client import ServiceNowClient
from deploy.local.doubles.servicenow import changes
from deploy.local.stack.ports import free_port
from tests.integrations.servicenow_double import SECRET, Instance

ROOT = Path(__file__).parents[2]
JSON = {"Accept": "application/json", "Content-Type": "application/json"}
CHANGE = "/api/sn_chg_rest/change"
TABLE = "/api/now/table/change_request"


@pytest.fixture
def instance(tmp_path):
    return Instance(tmp_path)


@pytest.fixture
def http(instance):
    """An integration that has signed in."""
    with httpx.Client(
        base_url="http://127.0.0.1:8095", headers=JSON, transport=instance.line
    ) as http:
        http.headers["Authorization"] = f"Bearer {token(http)}"
        yield http


def token(http, **changes):
    form = {"grant_type": "client_credentials", "client_id": "quartermaster"}
    answer = http.post(
        "/oauth_token.do",
        data=form | {"client_secret": SECRET} | changes,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 1799
    return answer.json()["access_token"]


def made(http, **more):
    answer = http.post(CHANGE, json={"type": "normal", "correlation_id": "qm:1"} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def moved(http, sys_id, state, **more):
    return http.patch(f"{CHANGE}/{sys_id}", json={"state": state} | more)


class TestSignIn:
    def test_refuses_another_secret(self, http):
        with pytest.raises(AssertionError, match="access_denied"):
            token(http, client_secret="guess")

    def test_an_api_takes_no_call_without_a_token(self, http):
        assert http.get(TABLE, headers={"Authorization": "Bearer made-up"}).status_code == 401

    @pytest.mark.parametrize("missing", ["Accept", "Content-Type"])
    def test_a_write_needs_both_headers(self, http, missing):
        http.headers[missing] = "text/plain"
        body = b'{"type": "normal"}'
        assert http.post(CHANGE, content=body).status_code == 400
        assert http.get(TABLE).status_code == 200

    def test_counts_calls_by_the_hour(self, tmp_path):
        tight = Instance(tmp_path, hourly_limit=2)
        with httpx.Client(
            base_url="http://127.0.0.1:8095", headers=JSON, transport=tight.line
        ) as http:
            http.headers["Authorization"] = f"Bearer {token(http)}"
            assert [http.get(TABLE).status_code for _ in range(3)] == [200, 200, 429]
            answer = http.get(TABLE)
        assert 0 < int(answer.headers["Retry-After"]) <= 3600
        assert answer.headers["X-RateLimit-Limit"] == "2"
        assert answer.json()["error"]["message"] == "Rate limit exceeded"


class TestTables:
    def test_a_term_that_names_no_field_is_ignored_so_that_every_row_comes(self, http):
        made(http)
        made(http, correlation_id="qm:2")
        asked = {"sysparm_query": "correlation_id=qm:2"}
        assert len(http.get(TABLE, params=asked).json()["result"]) == 1
        asked = {"sysparm_query": "corelation_id=qm:2"}
        assert len(http.get(TABLE, params=asked).json()["result"]) == 2

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("correlation_id=qm:1^ORcorrelation_id=qm:2^ORDERBYDESCcorrelation_id", "21"),
            ("correlation_idINqm:3,qm:1^ORDERBYcorrelation_id", "13"),
            ("correlation_id!=qm:1^correlation_id!=qm:2", "3"),
            ("correlation_id=qm:1^NQcorrelation_idENDSWITH3", "13"),
            ("correlation_idSTARTSWITHqm^correlation_id>qm:2", "3"),
            ("correlation_idLIKEM:2", "2"),
        ],
    )
    def test_encoded_queries(self, http, query, found):
        for number in "123":
            made(http, correlation_id=f"qm:{number}")
        rows = http.get(TABLE, params={"sysparm_query": query}).json()["result"]
        assert "".join(row["correlation_id"][-1] for row in rows) == found

    def test_pages_end_where_no_next_is_named(self, http):
        for _ in range(3):
            made(http)
        first = http.get(TABLE, params={"sysparm_limit": "2"})
        assert len(first.json()["result"]) == 2
        assert first.headers["X-Total-Count"] == "3"
        second = http.get(first.links["next"]["url"])
        assert len(second.json()["result"]) == 1
        assert "next" not in second.links

    def test_unknown_fields_are_dropped_without_a_word(self, http):
        answer = http.post(
            "/api/now/table/incident",
            json={"short_description": "Drift", "colour": "red", "priority": "1", "impact": 1},
        )
        assert answer.status_code == 201
        assert answer.headers["Location"].endswith(answer.json()["result"]["sys_id"])
        result = answer.json()["result"]
        assert "colour" not in result
        assert (result["impact"], result["urgency"], result["priority"]) == ("1", "3", "3")

    def test_only_the_first_of_several_records_is_made(self, http, instance):
        body = {"records": [{"short_description": "one"}, {"short_description": "two"}]}
        http.post("/api/now/table/incident", json=body)
        assert [row["short_description"] for row in instance.incidents()] == ["one"]

    def test_shows_times_in_the_zone_of_whoever_asks_beside_the_value(self, http):
        change = made(http, start_date="2026-11-02 09:00:00")
        assert change["start_date"] == {
            "value": "2026-11-02 09:00:00",
            "display_value": "2026-11-02 07:00:00",
        }

    def test_journals_are_appended_and_resolving_needs_its_words(self, http):
        address = "/api/now/table/incident"
        sys_id = http.post(address, json={"work_notes": "one"}).json()["result"]["sys_id"]
        http.patch(f"{address}/{sys_id}", json={"work_notes": "two"})
        assert http.patch(f"{address}/{sys_id}", json={"state": "6"}).status_code == 400
        assert http.patch(f"{address}/{sys_id}", json={"state": "3"}).status_code == 400
        closing = {"state": "6", "close_code": "Solved (Permanently)", "close_notes": "Gone."}
        override = {"X-HTTP-Method-Override": "PATCH"}
        result = http.post(f"{address}/{sys_id}", json=closing, headers=override).json()["result"]
        assert (result["state"], result["work_notes"]) == ("6", "one\ntwo")

    def test_unknown_tables_and_records(self, http):
        assert http.get("/api/now/table/foo").json()["error"]["message"] == "Invalid table foo"
        assert http.get(f"{TABLE}/{'0' * 32}").status_code == 404
        assert http.delete(f"{TABLE}/{made(http)['sys_id']['value']}").status_code == 204


class TestChanges:
    def test_creating_answers_200_and_names_what_it_ignored(self, http):
        change = made(http, foo="bar", approval="approved", start_date="tomorrow")
        assert change["__meta"]["ignoredFields"] == ["foo", "approval", "start_date"]
        assert change["state"] == {"value": "-5", "display_value": "New"}
        assert change["approval"]["value"] == "not requested"
        assert http.post(CHANGE, json={"short_description": "x"}).status_code == 400

    def test_goes_only_where_the_next_states_say(self, http, instance):
        sys_id = made(http)["sys_id"]["value"]
        states = http.get(f"{CHANGE}/{sys_id}/nextstates").json()["result"]
        assert states["available_states"] == ["-4", "4", "-5"]
        assert moved(http, sys_id, "-2").status_code == 400
        (result,) = moved(http, sys_id, "-4").json()["result"]  # an array of one
        assert result["approval"]["value"] == "requested"
        steps = http.get(f"{CHANGE}/{sys_id}/nextstates").json()["result"]
        assert steps["available_states"] == ["4", "-4"]
        (authorize, *_) = steps["state_transitions"][0]
        assert authorize["automatic_transition"] is True
        assert authorize["transition_available"] is False
        instance.approve(sys_id)
        for state in ("-1", "0"):
            assert moved(http, sys_id, state).status_code == 200
        assert moved(http, sys_id, "3").status_code == 400
        assert moved(http, sys_id, "4").status_code == 400
        closing = {"close_code": "successful", "close_notes": "Done."}
        assert moved(http, sys_id, "3", **closing).status_code == 200

    def test_the_integration_is_nobodys_approver(self, http):
        sys_id = made(http)["sys_id"]["value"]
        moved(http, sys_id, "-4")
        answer = http.patch(f"{CHANGE}/{sys_id}/approvals", json={"state": "approved"})
        assert answer.status_code == 400

    def test_a_conflict_check_says_conflict_whatever_it_found(self, http, instance):
        sys_id = made(http)["sys_id"]["value"]
        assert http.get(f"{CHANGE}/{sys_id}/conflict").json()["result"]["last_run"]["value"] == ""
        started = http.post(f"{CHANGE}/{sys_id}/conflict", json={}).json()["result"]
        assert started["job_status"]["value"] == "Running"
        ended = http.get(f"{CHANGE}/{sys_id}/conflict").json()["result"]
        assert (ended["status"]["value"], ended["conflicts"]) == ("Conflict", [])
        changes.plan_conflict(instance.store, sys_id, "CHG0000007 on the same hosts")
        http.post(f"{CHANGE}/{sys_id}/conflict", json={})
        again = http.get(f"{CHANGE}/{sys_id}/conflict").json()["result"]
        assert again["record_count"] == 1
        assert again["last_run"]["value"] > ended["last_run"]["value"]


class TestPage:
    def test_the_change_manager_approves_schedules_holds_and_closes(self, http, instance):
        sys_id = made(http)["sys_id"]["value"]
        moved(http, sys_id, "-4")
        page = instance.browser()
        assert "CHG0031001" in page.get("/").text

        def act(**form):
            return page.post("/change_request.do", data={"sys_id": sys_id} | form)

        assert act(do="approved").status_code == 303
        assert act(do="approved").status_code == 303
        act(do="write", start_date="2026-11-02T09:00", end_date="2026-11-02 11:00:00")
        act(do="hold", comments="Freeze")
        (change,) = instance.changes()
        assert (change["state"], change["approval"], change["on_hold"]) == (
            "-2",
            "approved",
            "true",
        )
        assert change["start_date"] == "2026-11-02 09:00:00"
        assert act(do="move", state="-1").status_code == 409
        act(do="hold")
        for step in ({"state": "-1"}, {"state": "0"}):
            assert act(do="move", **step).status_code == 303
        assert "mandatory" in act(do="move", state="3").text
        act(do="move", state="3", close_code="successful", close_notes="Done.")
        assert instance.changes()[0]["state"] == "3"

    def test_rejects_withdraws_cancels_and_refuses_what_does_not_fit(self, http, instance):
        sys_id = made(http)["sys_id"]["value"]
        page = instance.browser()

        def act(**form):
            return page.post("/change_request.do", data={"sys_id": sys_id} | form)

        assert act(do="approved").status_code == 409
        moved(http, sys_id, "-4")
        act(do="rejected", comments="Not <now>.")
        (change,) = instance.changes()
        assert (change["state"], change["approval"]) == ("-5", "rejected")
        assert "Not &lt;now&gt;." in page.get(f"/change_request.do?sys_id={sys_id}").text
        moved(http, sys_id, "-4")
        instance.approve(sys_id)
        act(do="withdraw")
        assert instance.changes()[0]["approval"] == "requested"
        assert act(do="move", state="4").status_code == 303
        assert act(do="write", start_date="soon").status_code == 409
        assert page.get("/change_request.do?sys_id=1").status_code == 404

    def test_takes_no_form_of_another_site(self, http, instance):
        sys_id = made(http)["sys_id"]["value"]
        answer = instance.browser().post(
            "/change_request.do",
            data={"sys_id": sys_id, "do": "hold"},
            headers={"Origin": "http://evil.example"},
        )
        assert answer.status_code == 403

    def test_somebody_works_on_an_incident(self, http, instance):
        answer = http.post("/api/now/table/incident", json={"short_description": "Drift"})
        sys_id, page = answer.json()["result"]["sys_id"], instance.browser()
        for form in ({"do": "note", "work_notes": "Looking."}, {"do": "take"}, {"do": "resolve"}):
            page.post("/incident.do", data={"sys_id": sys_id} | form)
        (incident,) = instance.incidents()
        assert (incident["state"], incident["assigned_to"]) == ("6", "robin.chen")
        assert "Looking." in page.get(f"/incident.do?sys_id={sys_id}").text

    def test_tells_the_api_what_to_answer_next(self, http, instance):
        instance.browser().post("/answers", data={"lie": "away", "calls": "2"})
        assert [http.get(TABLE).status_code for _ in range(3)] == [503, 503, 200]


def test_serves_as_a_process_and_holds_back_what_it_has_done(tmp_path):
    """The program as the stack starts it, and the product's own client on the line."""
    (tmp_path / "secret").write_text(SECRET)
    address = f"http://127.0.0.1:{free_port()}"
    env = {
        "SERVICENOW_ADDRESS": address, "SERVICENOW_STATE": str(tmp_path),
        "SERVICENOW_CLIENT_SECRET_FILE": str(tmp_path / "secret"), "PATH": os.environ["PATH"],
    }  # fmt: skip
    command = [sys.executable, "-m", "deploy.local.doubles.servicenow"]
    with subprocess.Popen(command, env=env, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_healthy(address)
            client = ServiceNowClient(
                address, client_id="quartermaster", client_secret=SECRET, timeout=1.0
            )
            httpx.post(f"{address}/answers", data={"lie": "held", "calls": "1"})
            with pytest.raises(TemporaryError, match="in time"):
                client.open_change({"type": "normal", "correlation_id": "qm:1"})
            (change,) = client.changes_with("qm:1")
            assert change.state_words == "New"
            client.close()
        finally:
            process.terminate()


def wait_until_healthy(address):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if httpx.get(f"{address}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("it did not come up")
