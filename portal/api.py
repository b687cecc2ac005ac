"""Errors of the API as RFC 9457 problem details with a `code`."""

import math
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from apps.common.errors import DomainError, NotPermitted
from apps.common.request_ids import current_request_id
from apps.integrations.errors import PermanentError, TemporaryError


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Translate an exception to a problem: DomainError 409, NotPermitted 403, validation 400, the
    rest as DRF does.
    """
    if isinstance(error, DomainError):
        return _problem(409, error.code, str(error))
    if isinstance(error, NotPermitted):
        return _problem(403, error.code, str(error))
    if isinstance(error, TemporaryError):
        wait = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else None
        return _problem(503, "unavailable", str(error), headers=wait)
    if isinstance(error, PermanentError):
        return _problem(502, "refused_outside", str(error))
    if isinstance(error, exceptions.ValidationError):
        return _problem(400, "invalid", "Some fields are wrong.", errors=error.detail)
    if isinstance(error, Http404):
        return _problem(404, "not_found", "Nothing is here that you may see.")
    if isinstance(error, PermissionDenied):
        return _problem(403, "not_permitted", str(error) or "You may not do this.")
    response = exception_handler(error, context)
    if response is not None and isinstance(error, exceptions.APIException):
        headers = {
            key: value
            for key, value in response.items()
            if key.lower() in ("www-authenticate", "retry-after")
        }
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else str(error.default_code)
        return _problem(error.status_code, code, str(error.detail), headers=headers)
    return response


def _problem(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any
) -> Response:
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, **extra}
    body["request_id"] = current_request_id.get()
    return Response(body, status=status, headers=headers, content_type="application/problem+json")
