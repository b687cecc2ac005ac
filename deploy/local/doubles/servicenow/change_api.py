"""The Change Management API: creating answers 200, a result is an object here and an array of one
there, ignored fields are named in `__meta`, and a conflict check says "Conflict" whatever it found.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request

from . import bodies, changes, lies, tables
from .answers import refused
from .changes import TABLE, Refusal
from .store import Row, Store
from .table_api import insert, update

ROOTS = ("/api/sn_chg_rest/change", "/api/sn_chg_rest/v1/change")
TYPES = ("normal", "emergency")


def register(app: Flask, store: Store) -> None:
    """Add the addresses."""
    for position, root in enumerate(ROOTS):
        _add(app, f"{root}", f"create_{position}", lambda: _create(store, {}), "POST")
        for kind in TYPES:
            _add(
                app,
                f"{root}/{kind}",
                f"create_{kind}_{position}",
                lambda kind=kind: _create(store, {"type": kind}),
                "POST",
            )
        for part, view in PARTS.items():
            _add(
                app,
                f"{root}/<sys_id>{part}",
                f"change{part}_{position}",
                lambda sys_id, view=view: _of_change(store, sys_id, view),
                "GET",
                "POST",
                "PATCH",
                "DELETE",
            )


def _add(app: Flask, rule: str, name: str, view: Any, *methods: str) -> None:
    app.add_url_rule(rule, name.replace("/", "_"), view, methods=list(methods))


def _of_change(store: Store, sys_id: str, view: Any) -> Response:
    change = store.get(TABLE, sys_id)
    if change is None:
        return refused(404, "No Record found", "Record doesn't exist or ACL restricts the record")
    try:
        answer: Response = view(store, change)
    except Refusal as error:
        return refused(400, str(error))
    return answer


def _create(store: Store, more: Row) -> Response:
    body = bodies.first_record()
    if body is None or not (body.get("type") or body.get("chg_model") or more):
        return refused(400, "Either chg_model or type must be provided")
    taken, ignored = tables.split(TABLE, more | body)
    if lies.takes(store, "ignored"):
        taken, ignored = _without_description(taken, ignored)
    row = insert(store, TABLE, taken | {"state": changes.NEW})
    return jsonify(result=_wrapped(row, ignored))


def _without_description(taken: Row, ignored: list[str]) -> tuple[Row, list[str]]:
    kept = {name: value for name, value in taken.items() if name != "description"}
    return kept, [*ignored, "description"]


def _one(store: Store, change: Row) -> Response:
    """Read, change or delete one."""
    if request.method == "GET":
        return jsonify(result=_wrapped(change, []))
    if request.method == "DELETE":
        store.delete(TABLE, change["sys_id"])
        return Response(status=204)
    body = bodies.first_record()
    if not bodies.is_update() or body is None:
        raise Refusal("Exception while reading request")
    taken, ignored = tables.split(TABLE, body)
    row = update(store, TABLE, change, taken)
    return jsonify(result=[_wrapped(row, ignored)])  # an array of one


def _approvals(store: Store, change: Row) -> Response:
    """The integration's own user is nobody's approver."""
    raise Refusal("The user is not an approver of this change")


def _next_states(store: Store, change: Row) -> Response:
    steps = changes.transitions(change)
    available = [step.to_state for step in steps if step.is_available]
    rows = [
        {
            "sys_id": f"{change['state']}>{step.to_state}",
            "display_value": f"{_label(change['state'])} to {_label(step.to_state)}",
            "from_state": change["state"],
            "to_state": step.to_state,
            "transition_available": step.is_available,
            "automatic_transition": step.is_automatic,
            "conditions": [
                {"passed": passed, "condition": {"name": name, "description": name, "sys_id": ""}}
                for name, passed in step.conditions
            ],
        }
        for step in steps
    ]
    labels = {state: _label(state) for state in [*available, change["state"]]}
    return jsonify(
        result={
            "available_states": [*available, change["state"]],
            "state_transitions": [rows],
            "state_label": labels,
        }
    )


def _conflict(store: Store, change: Row) -> Response:
    if request.method == "POST":
        changes.start_conflict_check(store, change["sys_id"])
    return jsonify(result=changes.conflict_check(store, change["sys_id"]))


def _schedule(store: Store, change: Row) -> Response:
    window = {name: change[name] for name in tables.TIMES}
    return jsonify(result={name: {"value": value} for name, value in window.items()})


PARTS = {
    "": _one,
    "/approvals": _approvals,
    "/nextstates": _next_states,
    "/conflict": _conflict,
    "/schedule": _schedule,
}


def _wrapped(row: Row, ignored: list[str]) -> dict[str, Any]:
    """Return a change as this API shows it: each field with both of its values."""
    fields = {
        name: {"value": value, "display_value": tables.shown(TABLE, name, value)}
        for name, value in row.items()
    }
    return fields | {"__meta": {"ignoredFields": ignored}}


def _label(state: str) -> str:
    return tables.CHANGE_STATES.get(state, state)
