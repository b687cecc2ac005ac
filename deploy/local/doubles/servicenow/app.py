"""The instance as a Flask application: `create_app(settings)`. Here are sign-in, the rules for
every call, and the limit of calls an hour; the APIs and the pages have modules of their own.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, jsonify, request

from . import change_api, lies, pages, table_api
from .answers import refused
from .settings import Settings
from .store import Store

HOLD = "X-Double-Hold"  # seconds that an answer is held back, for whoever serves the application
RULE = "5f1a3c20c0a8016400e9e3a0f5a2f1c1"  # of the limit, as sys_rate_limit_rules would name it


def create_app(settings: Settings) -> Flask:
    """Return the instance as a WSGI application."""
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    store = Store(settings.state / "servicenow.sqlite3")
    app.extensions["store"] = store
    _add_sign_in(app, settings, store)
    app.before_request(lambda: _refusal(settings, store))
    app.after_request(lambda response: _finished(response, settings, store))
    table_api.register(app, store, settings)
    change_api.register(app, store)
    pages.register(app, store, settings)
    return app


def slowly(app: Flask) -> Callable[..., Iterable[bytes]]:
    """Return the application as a server runs it: what is held back waits, though it is done."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        held: list[str] = []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            held.extend(value for name, value in headers if name == HOLD)
            return start_response(status, headers, *more)

        answer = app.wsgi_app(environ, start)
        if held:
            time.sleep(float(held[0]))
        return answer

    return serve


def _add_sign_in(app: Flask, settings: Settings, store: Store) -> None:
    @app.post("/oauth_token.do")
    def token() -> Response:
        form = request.form
        known = hmac.compare_digest(form.get("client_secret", ""), settings.client_secret)
        if form.get("grant_type") != "client_credentials":
            return _oauth_error("unsupported_grant_type")
        if form.get("client_id") != settings.client_id or not known:
            return _oauth_error("access_denied")
        made = secrets.token_urlsafe(48)
        tokens = {
            name: ends for name, ends in (store.note("tokens") or {}).items() if ends > time.time()
        }
        store.set_note("tokens", tokens | {made: time.time() + settings.token_seconds})
        return jsonify(
            access_token=made,
            refresh_token=secrets.token_urlsafe(48),
            scope="useraccount",
            token_type="Bearer",  # noqa: S106 (a kind of token)
            expires_in=settings.token_seconds,
        )


def _oauth_error(code: str) -> Response:
    answer = jsonify(error_description=code, error=code)
    answer.status_code = 401
    return answer


def _refusal(settings: Settings, store: Store) -> Response | None:
    """Return why an API call is not answered; None where it is."""
    if not request.path.startswith("/api/"):
        return None
    if lies.takes(store, "away"):
        return refused(503, "The instance is not available")
    if lies.takes(store, "busy"):
        return _too_many(settings.hourly_limit, lies.RETRY_AFTER)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    ends = (store.note("tokens") or {}).get(token, 0)
    if scheme.lower() != "bearer" or ends <= time.time():
        return refused(401, "User Not Authenticated", "Required to provide Auth information")
    if request.method != "GET" and not _speaks_json():
        return refused(400, "Accept and Content-Type must be application/json")
    return _limited(settings, store)


def _speaks_json() -> bool:
    sent = request.method == "DELETE" or request.mimetype == "application/json"
    return sent and request.headers.get("Accept", "").startswith("application/json")


def _limited(settings: Settings, store: Store) -> Response | None:
    hour = int(time.time() // 3600)
    counted = store.note("calls") or {}
    calls = counted.get(str(hour), 0) + 1
    store.set_note("calls", {str(hour): calls})
    if calls <= settings.hourly_limit:
        return None
    return _too_many(settings.hourly_limit, 3600 - int(time.time() % 3600))


def _too_many(limit: int, seconds: int) -> Response:
    detail = f"Rate limit of {limit} requests per hour for Table API exceeded"
    answer = refused(429, "Rate limit exceeded", detail)
    answer.headers["X-RateLimit-Limit"] = str(limit)
    answer.headers["X-RateLimit-Reset"] = str(int(time.time()) + seconds)
    answer.headers["X-RateLimit-Rule"] = RULE
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _finished(response: Response, settings: Settings, store: Store) -> Response:
    """Add what every answer carries."""
    is_api = request.path.startswith("/api/")
    has_written = is_api and request.method != "GET" and response.status_code < 300
    if has_written and lies.takes(store, "held"):
        response.headers[HOLD] = str(lies.HELD_SECONDS)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    )
    if not request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response
