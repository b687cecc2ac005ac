"""The inbox's pages, as a Flask application: `create_app(inbox, hooks)`. No scripts, nothing from
elsewhere.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response as Answer

from .hooks import Hooks
from .inbox import Inbox

ANSWERS = {
    "": "take every message",
    "451 Busy, try again later": "be busy (451)",
    "550 No such mailbox here": "refuse (550)",
}
STATUSES = (204, 500, 410)
LINK = re.compile(r"https?://[^\s<>\"']+")


def create_app(inbox: Inbox, hooks: Hooks) -> Flask:
    """Return the pages as a WSGI application."""
    app = Flask(__name__)
    app.add_template_filter(_time, "time")
    app.add_template_filter(_linked, "linked")
    _add_mail(app, inbox)
    _add_hooks(app, hooks)
    app.add_url_rule("/healthz", view_func=lambda: "ok", endpoint="healthz")
    app.after_request(_strict)
    return app


def _add_mail(app: Flask, inbox: Inbox) -> None:
    """Add the inbox."""

    @app.get("/")
    def mails() -> str:
        to = request.args.get("to", "").strip()
        return render_template(
            "inbox.html", mails=inbox.all(to), to=to, answers=ANSWERS, answer=inbox.answer
        )

    @app.get("/mails.json")
    def as_json() -> Response:
        found = inbox.all(request.args.get("to", ""))
        keys = ("name", "to", "subject", "text")
        return jsonify([{key: getattr(mail, key) for key in keys} for mail in found])

    @app.get("/mails/<name>")
    def mail(name: str) -> str:
        found = inbox.one(name)
        if found is None:
            abort(404)
        return render_template("mail.html", mail=found)

    @app.post("/answer")
    def answer() -> Answer:
        wanted = request.form.get("answer", "")
        if wanted not in ANSWERS:
            abort(400)
        inbox.answer = wanted
        return redirect(url_for("mails"), 303)

    @app.post("/empty")
    def empty() -> Answer:
        inbox.empty()
        return redirect(url_for("mails"), 303)


def _add_hooks(app: Flask, hooks: Hooks) -> None:
    """Add the receivers of webhooks."""

    @app.get("/hooks/")
    def posts() -> str:
        return render_template(
            "hooks.html",
            posts=[(post, _pretty(post.body)) for post in hooks.all()],
            names=hooks.names(),
            statuses=STATUSES,
            status=hooks.status,
        )

    @app.post("/hooks/<name>")
    def take(name: str) -> Answer:
        return Answer(status=hooks.take(name, dict(request.headers), request.get_data()))

    @app.post("/hooks/")
    def tell() -> Answer:
        """Take a receiver's secret, or what all of them answer."""
        if request.form.get("name") and request.form.get("secret"):
            hooks.know(request.form["name"], request.form["secret"])
        status = request.form.get("status", "")
        if status in [str(one) for one in STATUSES]:
            hooks.status = int(status)
        return redirect(url_for("posts"), 303)


def _strict(answer: Any) -> Any:
    answer.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=UTC):%d %b %Y, %H:%M:%S} UTC"


def _linked(text: str) -> Markup:
    """Return text with its addresses as links."""
    found = escape(text)
    return Markup(LINK.sub(lambda link: f'<a href="{link[0]}">{link[0]}</a>', str(found)))  # noqa: S704 - escaped above


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        return body
