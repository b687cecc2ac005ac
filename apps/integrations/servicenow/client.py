"""ServiceNow over its REST APIs: changes that promotions wait for, and incidents.

It has no idempotency of its own, so whatever is made carries our correlation id and is looked up by
it first. Its queries may be widened without a word, so each row is held against what was asked.
"""

import time
from functools import lru_cache
from typing import Any

import httpx
from django.conf import settings

from apps.integrations.errors import PermanentError, Refused
from apps.integrations.http import HttpClient
from apps.integrations.servicenow import parsing
from apps.integrations.servicenow.addresses import is_configured
from apps.integrations.servicenow.parsing import Untrue
from apps.integrations.servicenow.types import Approver, Change, ConflictCheck, Incident

NAME = "ServiceNow"
CHANGES, CHANGE_TABLE, INCIDENT_TABLE = (
    "/api/sn_chg_rest/change",
    "/api/now/table/change_request",
    "/api/now/table/incident",
)
APPROVER_TABLE = "/api/now/table/sysapproval_approver"
PAGE, MOST_PAGES = 20, 5
EARLY = 60  # seconds before its end from which a token is no longer used


class ServiceNowClient:
    """Speaks to one instance as one OAuth client. timeout: seconds an answer may take."""

    def __init__(
        self,
        base_url: str,
        *,
        client_id: str,
        client_secret: str,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._who = {"client_id": client_id, "client_secret": client_secret}
        self._token, self._token_ends = "", 0.0
        self._http = HttpClient(
            name=NAME,
            base_url=base_url,
            headers={"Accept": "application/json"},
            timeout=httpx.Timeout(timeout, connect=3.0),
            transport=transport,
        )

    def changes_with(self, correlation_id: str) -> list[Change]:
        """Return every change that carries a correlation id, oldest first. Raises Untrue where
        others came with them: then nobody knows whether these are all.
        """
        rows = self._rows(CHANGE_TABLE, correlation_id, parsing.CHANGE_FIELDS)
        found = [parsing.change_of(row) for row in rows]
        _only(correlation_id, [change.correlation_id for change in found])
        return found

    def change(self, sys_id: str) -> Change:
        """Return a change. Raises NotFound where there is none, or we may not see it."""
        row = self._call("GET", f"{CHANGE_TABLE}/{sys_id}", params=_shape(parsing.CHANGE_FIELDS))
        return parsing.change_of(parsing.one_of(row))

    def open_change(self, fields: dict[str, str]) -> tuple[str, list[str]]:
        """Open a change; return its sys_id and the names of the fields that ServiceNow says it
        ignored. Look it up first: this makes another one each time.
        """
        row = parsing.one_of(self._call("POST", CHANGES, json=fields))
        return parsing.change_of(row).sys_id, parsing.ignored_in(row)

    def next_states(self, sys_id: str) -> list[str]:
        """Return the states that a change may be moved to now."""
        row = self._call("GET", f"{CHANGES}/{sys_id}/nextstates")
        return parsing.states_in(parsing.one_of(row))

    def move_change(self, sys_id: str, state: str, fields: dict[str, str]) -> Change:
        """Move a change to a state that is open to it, and return it as it is afterwards. Raises
        Untrue where it did not go there, whatever was answered.
        """
        body = {"state": state, **fields}
        row = parsing.one_of(self._call("PATCH", f"{CHANGES}/{sys_id}", json=body))
        if ignored := parsing.ignored_in(row):
            raise Untrue(f"{NAME} ignored what was written: {', '.join(ignored)}.")
        moved = self.change(sys_id)
        if moved.state != state:
            words = moved.state_words or moved.state
            raise Untrue(f"{NAME} took the step, but {moved.number} is still in {words}.")
        return moved

    def approvers_of(self, sys_id: str) -> list[Approver]:
        """Return who approved or rejected a change, the first first. Raises as changes_with; and
        PermanentError where we may not see that.
        """
        rows = self._query(APPROVER_TABLE, f"sysapproval={sys_id}", parsing.APPROVER_FIELDS)
        _only(sys_id, [parsing.about(row) for row in rows])
        found = [parsing.approver_of(row) for row in rows]
        return [one for one in found if one.decision in parsing.DECIDED]

    def start_conflict_check(self, sys_id: str) -> None:
        """Ask for a check against other changes; it ends some time later."""
        self._call("POST", f"{CHANGES}/{sys_id}/conflict", json={})

    def conflict_check(self, sys_id: str) -> ConflictCheck:
        """Return what the last check found, or that it is not finished."""
        row = self._call("GET", f"{CHANGES}/{sys_id}/conflict")
        return parsing.conflict_check_of(parsing.one_of(row))

    def incidents_with(self, correlation_id: str) -> list[Incident]:
        """Return every incident that carries a correlation id, oldest first. Raises as
        changes_with.
        """
        rows = self._rows(INCIDENT_TABLE, correlation_id, parsing.INCIDENT_FIELDS)
        found = [parsing.incident_of(row) for row in rows]
        _only(correlation_id, [incident.correlation_id for incident in found])
        return found

    def open_incident(self, fields: dict[str, str]) -> Incident:
        """Open an incident. Look it up first: this makes another one each time."""
        row = self._call("POST", INCIDENT_TABLE, json=fields, params=_shape())
        return parsing.incident_of(parsing.one_of(row))

    def add_note(self, sys_id: str, words: str) -> None:
        """Append to the work notes of an incident."""
        self._call("PATCH", f"{INCIDENT_TABLE}/{sys_id}", json={"work_notes": words})

    def resolve_incident(self, sys_id: str, *, code: str, notes: str) -> Incident:
        """Resolve an incident, and return it as it is afterwards."""
        body = {"state": "6", "close_code": code, "close_notes": notes}
        row = self._call("PATCH", f"{INCIDENT_TABLE}/{sys_id}", json=body, params=_shape())
        return parsing.incident_of(parsing.one_of(row))

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _rows(
        self, table: str, correlation_id: str, fields: tuple[str, ...]
    ) -> list[dict[str, Any]]:
        """Return all rows that carry a correlation id."""
        return self._query(table, f"correlation_id={correlation_id}", fields)

    def _query(self, table: str, term: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return all rows of a query, page by page: a short page need not be the last one."""
        query = f"{term}^ORDERBYsys_created_on^ORDERBYsys_id"
        found: list[dict[str, Any]] = []
        for page in range(MOST_PAGES):
            place = {"sysparm_limit": str(PAGE), "sysparm_offset": str(page * PAGE)}
            asked = _shape(fields) | place | {"sysparm_query": query}
            answer = self._answer("GET", table, params=asked)
            found += parsing.many_of(parsing.result_of(_json(answer)))
            if "next" not in answer.links:
                return found
        raise Untrue(f"{NAME} answered with more records than there can be of one change.")

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return parsing.result_of(_json(self._answer(method, path, **options)))

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send with a token; once more with a new one where the old one was refused."""
        try:
            return self._http.request(method, path, headers=self._bearer(), **options)
        except Refused as error:
            if error.status != 401:
                raise
        self._token = ""
        return self._http.request(method, path, headers=self._bearer(), **options)

    def _bearer(self) -> dict[str, str]:
        if not self._token or time.monotonic() >= self._token_ends:
            form = {"grant_type": "client_credentials", **self._who}
            body = _json(self._http.request("POST", "/oauth_token.do", data=form))
            token = body.get("access_token") if isinstance(body, dict) else None
            if not isinstance(token, str) or not token:
                raise PermanentError(f"{NAME} gave no token for the client credentials.")
            seconds = body.get("expires_in")
            lasts = seconds if isinstance(seconds, int) else 0
            self._token, self._token_ends = token, time.monotonic() + max(0, lasts - EARLY)
        return {"Authorization": f"Bearer {self._token}"}


def _only(correlation_id: str, found: list[str]) -> None:
    if any(other != correlation_id for other in found):
        raise Untrue(f"{NAME} answered with records of others than were asked for.")


def _shape(fields: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the parameters by which values come both as they are and as people see them."""
    shape = {"sysparm_display_value": "all", "sysparm_exclude_reference_link": "true"}
    return shape | ({"sysparm_fields": ",".join(fields)} if fields else {})


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise PermanentError(f"{NAME} answered with something that is not JSON.") from error


@lru_cache(maxsize=1)
def client_from_settings() -> ServiceNowClient | None:
    """Return the client of SERVICENOW_URL, the same for the whole process, for its token; None
    where there is no ServiceNow.
    """
    if not is_configured():
        return None
    return ServiceNowClient(
        settings.SERVICENOW_URL,
        client_id=settings.SERVICENOW_CLIENT_ID,
        client_secret=settings.SERVICENOW_CLIENT_SECRET,
    )
