"""Per request: an id that page, log, audit and error share; and the door that keeps anonymous people out."""

import logging
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.http import urlencode

GetResponse = Callable[[HttpRequest], HttpResponse]
current_request_id: ContextVar[str] = ContextVar("request_id", default="-")
OPEN_PATHS = ("/oidc/", "/static/", "/healthz", "/signed-out/", "/api/", "/v1/logs")


class RequestIdFilter(logging.Filter):
    """Adds the current request's id to each log line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always keep the line."""
        record.request_id = current_request_id.get()
        return True


def request_id(get_response: GetResponse) -> GetResponse:
    """Give every request an id of our own making and return it as X-Request-Id."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
        token = current_request_id.set(request.request_id)  # type: ignore[attr-defined]
        try:
            response = get_response(request)
        finally:
            current_request_id.reset(token)
        response["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        return response

    return middleware


def sign_in_required(get_response: GetResponse) -> GetResponse:
    """Send anonymous people to the identity provider; htmx gets a header that makes the browser go there."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated or request.path.startswith(OPEN_PATHS):
            return get_response(request)
        target = f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path()})}"
        if request.headers.get("HX-Request"):
            answer = JsonResponse({"detail": "Your session has ended. Sign in again."}, status=401)
            answer["HX-Redirect"] = settings.LOGIN_URL
            return answer
        return redirect(target)

    return middleware
