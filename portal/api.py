"""Errors of the API as RFC 9457 problem details with a `code`."""

import math
from functools import cache
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, JsonResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from rest_framework import exceptions
from rest_framework.exceptions import NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from apps.accounts.oidc import EITHER_DOOR
from apps.accounts.step_up import challenge
from apps.common.errors import DomainError, NotPermitted
from apps.common.openapi import PROBLEM
from apps.common.request_ids import current_request_id
from apps.common.sign_ins import FreshSignInNeeded
from apps.integrations.errors import PermanentError, TemporaryError

NEW_TOKEN = "Sign in again at the identity provider, and send the token of that sign-in."  # noqa: S105 - words for people


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Translate an exception to a problem: DomainError 409, NotPermitted 403, validation 400, the
    rest as DRF does.
    """
    if isinstance(error, DomainError):
        return _problem(409, error.code, str(error))
    if isinstance(error, FreshSignInNeeded):
        headers = {"WWW-Authenticate": challenge(str(error))}
        return _problem(403, error.code, f"{error} {NEW_TOKEN}", headers=headers)
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
        kept = ("www-authenticate", "retry-after")
        headers = {key: value for key, value in response.items() if key.lower() in kept}
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else str(error.default_code)
        return _problem(error.status_code, code, str(error.detail), headers=headers)
    return response


def problem_document(status: int, code: str, detail: str) -> JsonResponse:
    """Return a problem outside of a view: what refuses a request before one is found."""
    return JsonResponse(_body(status, code, detail), status=status, content_type=PROBLEM)


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document of the API; it is the same as long as the process runs."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    found: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return found


class Document(APIView):
    """What the API can do, for programs, and for the page that shows it to people."""

    authentication_classes = EITHER_DOOR
    renderer_classes = (JSONRenderer, OpenApiJsonRenderer)
    schema = None

    def get(self, request: Request) -> Response:
        """Answer the document to everybody whom either door lets in, whatever their role."""
        return Response(document())


class UnknownAddress(APIView):
    """Every address under /api/ that leads nowhere, with every method. Whoever has no good token
    hears 401, as at any other address of the API.
    """

    schema = None  # no part of the API's document

    def http_method_not_allowed(  # type: ignore[override]
        self, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """Say that nothing is there."""
        raise NotFound("The API has no such address.")

    options = http_method_not_allowed


def _problem(
    status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any
) -> Response:
    return Response(
        _body(status, code, detail, **extra), status=status, headers=headers, content_type=PROBLEM
    )


def _body(status: int, code: str, detail: str, **extra: Any) -> dict[str, Any]:
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, **extra}
    body["request_id"] = current_request_id.get()
    return body
