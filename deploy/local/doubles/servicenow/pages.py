"""The pages on which a person acts as the change manager, and as whoever works on incidents. Nobody
signs in: the instance exists on this machine only.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, abort, redirect, render_template, request

from . import changes, lies, tables
from .changes import TABLE, Refusal
from .settings import Settings
from .store import Row, Store

ROBIN = "robin.chen"  # the change manager, and who takes incidents
TAKES = {"short_description", "description", "start_date", "end_date"}


def register(app: Flask, store: Store, settings: Settings) -> None:
    """Add the pages."""

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/")
    def index() -> str:
        return render_template(
            "index.html",
            changes=store.rows(TABLE)[::-1],
            incidents=store.rows("incident")[::-1],
            states=tables.CHANGE_STATES,
            incident_states=tables.INCIDENT_STATES,
            approvals=tables.APPROVALS,
            lies=lies.LIES,
            told=lies.told(store),
            portal=settings.portal_url,
        )

    @app.post("/answers")
    def answers() -> Any:
        _same_origin(settings)
        calls = request.form.get("calls", "1")
        lies.tell(store, request.form.get("lie", ""), int(calls) if calls.isdecimal() else 1)
        return redirect("/", 303)

    app.add_url_rule(
        "/change_request.do",
        "change",
        lambda: _change_page(store, settings),
        methods=["GET", "POST"],
    )
    app.add_url_rule(
        "/incident.do",
        "incident",
        lambda: _incident_page(store, settings),
        methods=["GET", "POST"],
    )


def _change_page(store: Store, settings: Settings) -> Any:
    change = _record(store, TABLE)
    problem = ""
    if request.method == "POST":
        _same_origin(settings)
        try:
            _act(store, change, request.form.get("do", ""))
        except Refusal as error:
            problem = str(error)
        else:
            return redirect(f"/change_request.do?sys_id={change['sys_id']}", 303)
    steps = [step for step in changes.transitions(change) if step.is_available]
    page = render_template(
        "change.html",
        change=change,
        steps=steps,
        states=tables.CHANGE_STATES,
        approvals=tables.APPROVALS,
        close_codes=changes.CLOSE_CODES,
        conflict="; ".join(changes.planned(store, change["sys_id"])),
        problem=problem,
        portal=settings.portal_url,
    )
    return Response(page, 409 if problem else 200, mimetype="text/html")


def _act(store: Store, change: Row, action: str) -> None:
    """Do what the form says. Raises Refusal where the change does not allow it."""
    sys_id, form = change["sys_id"], request.form
    if action in ("approved", "rejected"):
        changes.decide(store, sys_id, action, form.get("comments", ""))
    elif action == "withdraw":
        changes.withdraw_approval(store, sys_id)
    elif action == "hold":
        held = "false" if change["on_hold"] == "true" else "true"
        reason = form.get("comments", "") if held == "true" else ""
        store.update(TABLE, sys_id, {"on_hold": held, "on_hold_reason": reason})
    elif action == "conflict":
        changes.plan_conflict(store, sys_id, form.get("conflict", "").strip())
    elif action == "write":
        _write(store, sys_id)
    elif action == "move":
        closing = {name: form.get(name, "") for name in ("close_code", "close_notes")}
        given = {name: value for name, value in closing.items() if value}
        moved = changes.move(change, form.get("state", ""), given)
        store.update(TABLE, sys_id, given | moved)
    else:
        raise Refusal("Nothing was chosen")


def _write(store: Store, sys_id: str) -> None:
    given = {name: value for name, value in request.form.items() if name in TAKES}
    for name in tables.TIMES:
        if name in given:
            given[name] = _time(given[name])
    store.update(TABLE, sys_id, given)


def _time(value: str) -> str:
    """Return a time of a form's field as it is kept. Raises Refusal for one that is none."""
    text = value.strip().replace("T", " ")
    if len(text) == len("2026-11-02 09:00"):
        text += ":00"
    if text and not tables.is_time(text):
        raise Refusal(f"{value} is no time as 2026-11-02 09:00")
    return text


def _incident_page(store: Store, settings: Settings) -> Any:
    incident = _record(store, "incident")
    if request.method == "POST":
        _same_origin(settings)
        store.update("incident", incident["sys_id"], _incident_changes(incident))
        return redirect(f"/incident.do?sys_id={incident['sys_id']}", 303)
    return render_template(
        "incident.html",
        incident=incident,
        states=tables.INCIDENT_STATES,
        portal=settings.portal_url,
    )


def _incident_changes(incident: Row) -> Row:
    action = request.form.get("do", "")
    if action == "take":
        return {"assigned_to": ROBIN, "state": "2"}
    if action == "resolve":
        notes = request.form.get("close_notes", "") or "Resolved."
        return {"state": "6", "close_code": "Solved (Permanently)", "close_notes": notes}
    note = request.form.get("work_notes", "").strip()
    return tables.written("incident", incident, {"work_notes": note} if note else {})


def _record(store: Store, table: str) -> Row:
    row = store.get(table, request.values.get("sys_id", ""))
    if row is None:
        abort(404, "No Record found")
    return row


def _same_origin(settings: Settings) -> None:
    """Refuse forms of other sites. Programs that are no browsers send no Origin."""
    if request.headers.get("Origin", settings.address) != settings.address:
        abort(403, "This form was sent from another site.")
