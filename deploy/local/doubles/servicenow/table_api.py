"""The Table API: every value is text, unknown fields are dropped in silence, and a query may mean
more than was asked.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, jsonify, request

from . import bodies, changes, lies, query, tables
from .answers import refused
from .settings import Settings
from .store import Row, Store

ROOTS = ("/api/now/table", "/api/now/v1/table", "/api/now/v2/table")
MOST = 10_000


def register(app: Flask, store: Store, settings: Settings) -> None:
    """Add the addresses."""
    for position, root in enumerate(ROOTS):
        app.add_url_rule(
            f"{root}/<table>",
            f"table_{position}",
            lambda table: _list_or_create(store, settings, table),
            methods=["GET", "POST"],
        )
        app.add_url_rule(
            f"{root}/<table>/<sys_id>",
            f"record_{position}",
            lambda table, sys_id: _record(store, table, sys_id),
            methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
        )


def _list_or_create(store: Store, settings: Settings, table: str) -> Response:
    if table not in tables.FIELDS:
        return refused(400, f"Invalid table {table}")
    if request.method == "GET":
        return _list(store, settings, table)
    body = bodies.first_record()
    if body is None:
        return refused(400, "Exception while reading request", "The body is not JSON")
    taken, _ = tables.split(table, body)
    row = insert(store, table, taken)
    answer = jsonify(result=_shown(table, row))
    answer.status_code = 201
    answer.headers["Location"] = f"{settings.address}/api/now/table/{table}/{row['sys_id']}"
    return answer


def insert(store: Store, table: str, taken: Row) -> Row:
    """Make a record with the fields' defaults; two of them where the instance was told to."""
    if lies.takes(store, "silent"):
        taken = taken | {"description": ""}
    row = dict(tables.FIELDS[table])
    row |= tables.written(table, row, taken)
    if lies.takes(store, "doubled"):
        store.insert(table, row)
    return store.insert(table, row)


def _list(store: Store, settings: Settings, table: str) -> Response:
    asked = request.args
    text = "" if lies.takes(store, "widened") else asked.get("sysparm_query", "")
    found = query.select(store.rows(table), text, tables.known(table))
    limit = _whole(asked.get("sysparm_limit"), MOST)
    offset = _whole(asked.get("sysparm_offset"), 0)
    page = found[offset : offset + limit]
    answer = jsonify(result=[_shown(table, row) for row in page])
    answer.headers["X-Total-Count"] = str(len(found))
    if offset + limit < len(found):
        answer.headers["Link"] = _next(settings, offset + limit)
    return answer


def _next(settings: Settings, offset: int) -> str:
    rest = request.args.to_dict() | {"sysparm_offset": str(offset)}
    words = "&".join(f"{name}={value}" for name, value in rest.items())
    return f'<{settings.address}{request.path}?{words}>;rel="next"'


def _record(store: Store, table: str, sys_id: str) -> Response:
    row = store.get(table, sys_id) if table in tables.FIELDS else None
    if row is None:
        return refused(404, "No Record found", "Record doesn't exist or ACL restricts the record")
    if request.method == "GET":
        return jsonify(result=_shown(table, row))
    if request.method == "DELETE":
        store.delete(table, sys_id)
        return Response(status=204)
    body = bodies.first_record()
    if not bodies.is_update() or body is None:
        return refused(400, "Exception while reading request")
    taken, _ = tables.split(table, body)
    try:
        row = update(store, table, row, taken)
    except changes.Refusal as error:
        return refused(400, "Operation Failed", str(error))
    return jsonify(result=_shown(table, row))


def update(store: Store, table: str, row: Row, taken: Row) -> Row:
    """Change a record under the rules of its states. Raises Refusal."""
    state = taken.get("state", row["state"])
    if table == changes.TABLE and "state" in taken:
        if lies.takes(store, "confirmed"):
            return row
        taken = taken | changes.move(row, state, taken)
    if table == "incident":
        _check_incident(row | taken, state)
    return store.update(table, row["sys_id"], tables.written(table, row, taken))


def _check_incident(after: Row, state: str) -> None:
    """Raise Refusal where a state lacks what it needs."""
    if state == "3" and not after["hold_reason"]:
        raise changes.Refusal("On hold reason is mandatory")
    if state in ("6", "7") and not (after["close_code"] and after["close_notes"]):
        raise changes.Refusal("Resolution code and resolution notes are mandatory")


def _shown(table: str, row: Row) -> dict[str, Any]:
    """Return a record as the call asks for it."""
    asked = request.args.get("sysparm_fields", "")
    names = asked.split(",") if asked else list(row)
    how = request.args.get("sysparm_display_value", "false")
    kept = {name: row[name] for name in names if name in row}
    if how == "all":
        return {
            name: {"value": value, "display_value": tables.shown(table, name, value)}
            for name, value in kept.items()
        }
    if how == "true":
        return {name: tables.shown(table, name, value) for name, value in kept.items()}
    return dict(kept)


def _whole(value: str | None, default: int) -> int:
    return int(value) if value and value.isdecimal() else default
