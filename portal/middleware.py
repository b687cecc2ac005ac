"""Per request: an id that page, log, audit and error share; the sample that marks pages and files;
the door; and the pages for what actions refuse.
"""

import time
import uuid
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import auth
from django.core.exceptions import BadRequest
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject
from django.utils.http import urlencode

from apps.accounts import actions, sessions, step_up
from apps.accounts.models import User
from apps.common import spans
from apps.common.errors import DomainError, NotPermitted
from apps.common.request_ids import current_request_id
from apps.common.requests import PageRequest
from apps.common.sign_ins import FreshSignInNeeded
from apps.common.simulated import Sample
from portal.errors import machine_refusal, refused
from portal.sample.shown import shown_sample

GetResponse = Callable[[PageRequest], HttpResponse]
OPEN_PATHS = (
    "/oidc/",
    "/static/",
    "/healthz",
    "/.well-known/",
    "/signed-out/",
    "/v1/logs",
    "/v1/traces",
    "/v1/scaling/",
)  # and /api/, which has its own door
MACHINE_DOORS = ("/healthz", "/v1/")  # each with a credential of its own, or nothing to hide
NOT_PAGES = ("/api/", "/v1/", "/static/", "/healthz", "/.well-known/")
INGEST = ("/v1/logs", "/v1/traces")  # from Collectors, which pack what they send
WITH_BODY = ("POST", "PUT", "PATCH")
ROLELESS_PATHS = ("/account/", "/sign-out/")
NO_ACCESS = "/account/no-access/"


def request_id(get_response: GetResponse) -> GetResponse:
    """Give every request an id of our own making and return it as X-Request-Id."""

    def middleware(request: PageRequest) -> HttpResponse:
        request.request_id = str(uuid.uuid4())
        spans.name_request(request.request_id)
        token = current_request_id.set(request.request_id)
        try:
            response = get_response(request)
        finally:
            current_request_id.reset(token)
        response["X-Request-Id"] = request.request_id
        return response

    return middleware


def knows_sample(get_response: GetResponse) -> GetResponse:
    """Let every request tell which sample its pages and files have to be marked with. Nothing is
    read before somebody asks.
    """

    def middleware(request: PageRequest) -> HttpResponse:
        request.sample = cast(Sample | None, SimpleLazyObject(shown_sample))
        return get_response(request)

    return middleware


def machines_by_any_name(get_response: GetResponse) -> GetResponse:
    """Let machines come to their doors by whatever name they have for the portal.

    A probe asks a pod by its address, a Collector or KEDA a Service by its name, and neither is a
    name of the portal. What they are answered holds no address made from the name that they used.
    """

    def middleware(request: PageRequest) -> HttpResponse:
        if request.path.startswith(MACHINE_DOORS):
            request.META["HTTP_HOST"] = urlsplit(settings.PORTAL_URL).netloc
        return get_response(request)

    return middleware


def varies_by_htmx(get_response: GetResponse) -> GetResponse:
    """Say of every page that htmx gets another answer at the same address: the one place that does.

    It stands before the other doors, since their refusals differ in the same way.
    """

    def middleware(request: PageRequest) -> HttpResponse:
        response = get_response(request)
        if not request.path.startswith(NOT_PAGES):
            patch_vary_headers(response, ("HX-Request", "HX-Target"))
        return response

    return middleware


def no_null_bytes(get_response: GetResponse) -> GetResponse:
    """Refuse a NUL in address, query or cookie: no honest client sends one, and PostgreSQL takes
    none.
    """

    def middleware(request: PageRequest) -> HttpResponse:
        if "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("The address contains a character that is not allowed.")
        if any("\x00" in value for value in request.COOKIES.values()):
            raise BadRequest("A cookie contains a character that is not allowed.")
        return get_response(request)

    return middleware


def whole_bodies(get_response: GetResponse) -> GetResponse:
    """Refuse a body whose length nobody said (411), or that is packed (415).

    WSGI has no word for a chunked body: it would be read as an empty one and answered as if it had
    been taken. Only the doors for Collectors unpack, and say themselves what they take.
    """

    def middleware(request: PageRequest) -> HttpResponse:
        if _has_unsaid_length(request):
            return machine_refusal(
                request, 411, "length_required", "Send the body with a Content-Length, not chunked."
            )
        packed = request.headers.get("Content-Encoding", "").strip().lower()
        if packed not in ("", "identity") and request.path not in INGEST:
            return machine_refusal(
                request, 415, "unsupported_encoding", "Send the body as it is, not compressed."
            )
        return get_response(request)

    return middleware


def _has_unsaid_length(request: PageRequest) -> bool:
    """Tell whether a body may follow that has no length: chunked, or in frames of HTTP/2."""
    if request.headers.get("Transfer-Encoding"):
        return True
    framed = str(request.META.get("SERVER_PROTOCOL", "")).startswith(("HTTP/2", "HTTP/3"))
    return framed and request.method in WITH_BODY and not request.META.get("CONTENT_LENGTH")


def sign_in_required(get_response: GetResponse) -> GetResponse:
    """Send anonymous people to the identity provider, end sessions that lasted too long, hold
    people without a role.
    """

    def middleware(request: PageRequest) -> HttpResponse:
        if request.path.startswith("/api/"):
            return _not_kept(get_response(request))
        if request.path.startswith(OPEN_PATHS):
            return get_response(request)
        user = request.user
        if not isinstance(user, User) or _ended(request, user):
            return _go(request, f"{settings.LOGIN_URL}?{urlencode({'next': _next(request)})}")
        if not request.path.startswith(ROLELESS_PATHS) and not user.roles:
            return _go(request, NO_ACCESS)
        user.sign_in = step_up.sign_in_of_session(request.session, now=time.time())
        return _not_kept(get_response(request))

    return middleware


def _not_kept(response: HttpResponse) -> HttpResponse:
    """Let no cache keep what was meant for one person."""
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def _ended(request: PageRequest, user: User) -> bool:
    """End the session that is over and record it; else note that the person is there. Polling is
    not presence.
    """
    why = sessions.expiry(request.session, user, now=time.time())
    if why:
        actions.record_sign_out(user=user, reason=why, now=timezone.now())
        auth.logout(request)
        return True
    if request.method != "GET" or not request.htmx:
        sessions.note_activity(request.session, now=time.time())
    return False


def _next(request: PageRequest) -> str:
    """Return where to come back to: the page, not a fragment or a form's address."""
    if request.htmx:
        return request.htmx.current_url or "/"
    return request.get_full_path() if request.method == "GET" else "/"


def _go(
    request: PageRequest, target: str, why: str = "Your session has ended. Sign in again."
) -> HttpResponse:
    """Redirect; htmx gets a header that makes the browser go there."""
    if not request.htmx:
        return redirect(target)
    answer = JsonResponse({"detail": why}, status=401)
    answer["HX-Redirect"] = target
    return answer


def _forget_form(request: PageRequest) -> None:
    """Drop what was kept of the form that was sent, on pages: other doors have no session."""
    if not request.path.startswith(NOT_PAGES):
        step_up.forget_form(request)


def refusals(get_response: GetResponse) -> GetResponse:
    """Turn what actions refuse into pages, and who must sign in again before they decide into
    somebody on the way there. The API has its own door for that (portal/api.py).
    """

    def middleware(request: PageRequest) -> HttpResponse:
        response = get_response(request)
        if request.method == "POST" and not hasattr(request, "kept_form"):
            _forget_form(request)
        return response

    def process_exception(request: PageRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, FreshSignInNeeded) and isinstance(request.user, User):
            request.kept_form = step_up.keep_form(request, request.user, now=time.time())
            return _go(request, step_up.address(request.kept_form), str(error))
        return refused(request, error) if isinstance(error, NotPermitted | DomainError) else None

    middleware.process_exception = process_exception  # type: ignore[attr-defined]
    return middleware
