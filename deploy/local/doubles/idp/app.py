"""The pages and endpoints, as a Flask application: `create_app(settings)`.

The browser's session is a random cookie whose row says who signed in when. Pages carry a policy
that forbids scripts and anything from elsewhere; forms may lead back to the portal only.
"""

from __future__ import annotations

import os
import secrets
import time
from typing import Any

# loopback only: Authlib refuses http without it
os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")

from authlib.oauth2.rfc6749 import OAuth2Error
from flask import Flask, Response, abort, jsonify, make_response, redirect, render_template, request
from joserfc import jwt
from joserfc.errors import JoseError

from . import grants
from .logins import ACR_VALUES, Login, best_acr, login_from
from .personas import Persona, all_personas, find_persona
from .provider import Provider
from .settings import AUDIENCES, DEVICE_CODE, ENTRA_SCOPES, SCOPES, Settings, signing_keys
from .store import Store

COOKIE = "idp_session"
CLAIMS = [
    "sub",
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "acr",
    "nonce",
    "name",
    "preferred_username",
    "email",
    "email_verified",
    "groups",
    "team",
    "cost_center",
]


def create_app(settings: Settings) -> Flask:
    """Return the provider as a WSGI application."""
    app = Flask(__name__)
    store, keys = Store(settings.state / "idp.sqlite3"), signing_keys(settings.state)
    provider = Provider(app, settings, store, keys)
    grants.register(provider)
    app.extensions["provider"] = provider
    _add_machine_routes(app, provider)
    _add_pages(app, provider)
    _add_headers(app, settings)
    return app


def discovery(settings: Settings) -> dict[str, Any]:
    """Return the discovery document."""
    issuer = settings.issuer
    document = {
        "issuer": issuer,
        "authorization_endpoint": issuer + settings.path("authorize"),
        "token_endpoint": issuer + settings.path("token"),
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "end_session_endpoint": f"{issuer}/end_session",
        "device_authorization_endpoint": issuer + settings.path("device_authorization"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_CODE],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": list(SCOPES),
        "token_endpoint_auth_methods_supported": [
            "client_secret_basic",
            "client_secret_post",
            "none",
        ],
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": list(ACR_VALUES),
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": CLAIMS,
        "resource_indicators_supported": list(AUDIENCES),
    }
    if settings.is_entra:
        del document["resource_indicators_supported"]
        document["scopes_supported"] = list(ENTRA_SCOPES)
    return document


def _add_machine_routes(app: Flask, provider: Provider) -> None:
    """Add what programs call."""

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/.well-known/openid-configuration")
    def openid_configuration() -> Response:
        return jsonify(discovery(provider.settings))

    @app.get("/jwks")
    def jwks() -> Response:
        return jsonify(provider.keys.as_dict(private=False))

    @app.post(provider.settings.path("token"))
    def token() -> Response:
        answer: Response = provider.create_token_response()
        return answer

    @app.post(provider.settings.path("device_authorization"))
    def device_authorization() -> Response:
        answer: Response = provider.create_endpoint_response("device_authorization")
        return answer

    @app.route("/userinfo", methods=["GET", "POST"])
    def userinfo() -> Response:
        claims = _bearer_claims(provider)
        if claims is None:
            return Response(
                status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
            )
        return jsonify(
            {
                name: claims[name]
                for name in CLAIMS
                if name in claims and name not in ("aud", "exp", "iat")
            }
        )


def _bearer_claims(provider: Provider) -> dict[str, Any] | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        claims: dict[str, Any] = jwt.decode(token, provider.keys, algorithms=["RS256"]).claims
        jwt.JWTClaimsRegistry(iss={"essential": True, "value": provider.settings.issuer}).validate(
            claims
        )
    except (JoseError, ValueError):
        return None
    return claims


def _add_pages(app: Flask, provider: Provider) -> None:
    """Add what people see."""
    app.add_url_rule(
        provider.settings.path("authorize"),
        view_func=lambda: authorize(provider),
        methods=["GET", "POST"],
        endpoint="authorize",
    )
    app.add_url_rule(
        "/device", view_func=lambda: device(provider), methods=["GET", "POST"], endpoint="device"
    )
    app.add_url_rule(
        "/end_session",
        view_func=lambda: end_session(provider),
        methods=["GET", "POST"],
        endpoint="end",
    )

    @app.get("/")
    def index() -> str:
        return render_template("index.html", personas=all_personas(), login=_session(provider))


def authorize(provider: Provider) -> Any:
    """Answer an authorization request: with a code where the person is signed in, else with the
    sign-in page.
    """
    login, answer = (
        _sign_in(provider) if request.method == "POST" else (_fitting_session(provider), None)
    )
    try:
        grant = provider.get_consent_grant(end_user=login)
    except OAuth2Error as error:
        return _explained(provider, error)
    if answer is not None:  # the person still has to choose a team
        return answer
    if login is None or (request.method == "GET" and grant.prompt):
        return render_template(
            "sign_in.html", personas=all_personas(), client=grant.client.client_id
        )
    response = make_response(provider.create_authorization_response(grant=grant, grant_user=login))
    return _remember(provider, response, login)


def _explained(provider: Provider, error: OAuth2Error) -> Response:
    """Send the error to the program where its address is known to be its own, else show it to the
    person.
    """
    if getattr(error, "redirect_uri", None):
        answer: Response = provider.handle_error_response(None, error)
        return answer
    text = error.description or error.error
    return make_response(render_template("error.html", code=error.error, text=text), 400)


def _sign_in(provider: Provider) -> tuple[Login | None, Any]:
    """Return the sign-in of a submitted form, and the page that asks for the team where that is
    open.
    """
    _same_origin(provider)
    person = find_persona(request.form.get("username", ""))
    if person is None:
        abort(400, "Choose a person.")
    if len(person.teams) > 1 and not request.form.get("team"):
        return _login(person, ""), render_template("team.html", person=person)
    team = person.team(request.form.get("team"))
    if request.form.get("team") and team is None:
        abort(400, f"{person.name} is not in that team.")
    return _login(person, team.slug if team else ""), None


def _login(person: Persona, team: str) -> Login:
    return Login(
        person.username,
        team,
        auth_time=int(time.time()),
        family=secrets.token_hex(16),
        acr=best_acr(request.values.get("acr_values", "")),
    )


def _same_origin(provider: Provider) -> None:
    """Refuse forms of other sites. Programs that are no browsers send no Origin."""
    if request.headers.get("Origin", provider.settings.issuer) != provider.settings.issuer:
        abort(403, "This form was sent from another site.")


def _session(provider: Provider) -> Login | None:
    cookie = request.cookies.get(COOKIE)
    data = provider.store.get("session", cookie) if cookie else None
    login = login_from(data) if data else None
    return login if login and find_persona(login.username) else None


def _fitting_session(provider: Provider) -> Login | None:
    """Return the browser's session where the request is content with it: `max_age`, `acr_values`,
    `prompt=login`.
    """
    login = _session(provider)
    max_age = request.values.get("max_age", "")
    if login and max_age.isdecimal() and login.is_older_than(int(max_age)):
        return None
    if login and not login.does_for(request.values.get("acr_values", "")):
        return None
    return None if "login" in request.values.get("prompt", "").split() else login


def _remember(provider: Provider, response: Response, login: Login) -> Response:
    """Give the browser a session for this sign-in, unless it is the one it has."""
    if login == _session(provider):
        return response
    cookie = secrets.token_urlsafe(32)
    provider.store.put(
        "session", cookie, login.as_data(), seconds=provider.settings.session_seconds
    )
    response.set_cookie(COOKIE, cookie, httponly=True, samesite="Lax", path="/")
    return response


def device(provider: Provider) -> Any:
    """Ask the person at a browser whether a program elsewhere may act for them."""
    user_code = request.values.get("user_code", "").strip().upper()
    question = provider.store.get("device-question", user_code) if user_code else None
    if question is None:
        status = 404 if user_code else 200
        return make_response(render_template("device_code.html", user_code=user_code), status)
    if request.method == "GET":
        return render_template(
            "device.html", user_code=user_code, question=question, personas=all_personas()
        )
    login, answer = _sign_in(provider)
    if answer is not None:
        return answer
    approved = request.form.get("decision", "allow") == "allow"
    granted = login.for_audiences(tuple(question["audiences"])) if login else None
    if granted is None or provider.store.take("device-question", user_code) is None:
        abort(409, "This code was answered already.")
    provider.store.put(
        "device-answer", user_code, {"login": granted.as_data(), "approved": approved}, seconds=900
    )
    return render_template(
        "device_done.html", approved=approved, client=question["client_id"], person=granted.persona
    )


def end_session(provider: Provider) -> Any:
    """Sign the person out, after asking where the request does not prove that it comes from a
    program of ours.
    """
    try:
        asked = provider.validate_endpoint_request("end_session")
    except OAuth2Error as error:
        return _explained(provider, error)
    if asked.needs_confirmation and request.method == "GET":
        return render_template("sign_out.html", login=_session(provider))
    login, cookie = _session(provider), request.cookies.get(COOKIE)
    if cookie:
        provider.store.take("session", cookie)
    if login:
        provider.store.forget_family(login.family)
    answer = (
        redirect(asked.redirect_uri) if asked.redirect_uri else render_template("signed_out.html")
    )
    response = make_response(answer)
    response.delete_cookie(COOKIE, path="/")
    return response


def _add_headers(app: Flask, settings: Settings) -> None:
    """Add the security headers of every answer."""
    back = " ".join(["'self'", *settings.portal_urls])
    policy = (
        f"default-src 'none'; style-src 'self'; form-action {back}; frame-ancestors 'none'; "
        f"base-uri 'none'"
    )

    @app.after_request
    def add(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
