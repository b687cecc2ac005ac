"""How the API describes itself (OpenAPI): what each operation takes, answers and refuses.

How to use, on a view's method or above `@api_view`:

    @operation("grants_list", "Access", "List grants", answers=GrantOutput(many=True))

Every operation may be refused with a problem document (RFC 9457), whose words are here once; the
docstring of a view is the operation's description.
"""

from collections.abc import Callable, Sequence
from typing import Any

from drf_spectacular.authentication import SessionScheme
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

JSON = "application/json"
PROBLEM = "application/problem+json"
REFUSALS = {
    400: "Something in the address or in the body is not valid; `errors` names each field.",
    401: "There was no token, or not a valid one: `code` says why.",
    403: "The caller has no role here, or may not do this.",
    404: "Nothing is there that the caller may see.",
    409: "It is not possible right now; `code` and `detail` say why.",
    411: "The body came without a Content-Length.",
    413: "The body is longer than this API takes.",
    415: "The body has a type that this API does not read, or is compressed.",
    502: "Something outside of the portal refused it.",
    503: "Something outside of the portal does not answer now. Ask again after `Retry-After`.",
}
# each call's token is checked, which needs the identity provider, and must name a role
ALWAYS = (401, 403, 503)
OF_BODIES = (400, 411, 413, 415)


class ProblemOutput(serializers.Serializer[Any]):
    """Why something was refused (RFC 9457). code: for programs; detail: for people; errors: by
    field, at 400 alone.
    """

    type = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    request_id = serializers.CharField(help_text="To quote; every log and audit line has it.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields; `errors` is here since a serializer has a property of that name."""
        return super().get_fields() | {"errors": serializers.JSONField(required=False)}


def operation(
    name: str,
    tag: str,
    summary: str,
    *,
    answers: Any,
    status: int | Sequence[int] = 200,
    takes: Any = None,
    refuses: Sequence[int] = (),
    parameters: Sequence[OpenApiParameter] = (),
) -> Callable[[Any], Any]:
    """Describe an operation of the API.

    name: its operationId. answers: the serializer of what comes back with `status`. takes: that of
    the body, or {media type: type}; none: no body. refuses: the statuses beside those that every
    operation, and every body, may be refused with.
    """
    codes = {*ALWAYS, *refuses, *(OF_BODIES if takes is not None else ())}
    good = [status] if isinstance(status, int) else status
    responses: dict[Any, Any] = {(code, JSON): answers for code in good}
    for code in sorted(codes):
        responses[code, PROBLEM] = OpenApiResponse(ProblemOutput, REFUSALS[code])
    return extend_schema(
        operation_id=name,
        tags=[tag],
        summary=summary,
        request=takes,
        responses=responses,
        parameters=list(parameters),
    )


def choice(name: str, values: Sequence[str], description: str) -> OpenApiParameter:
    """Describe a part of the address that is one of a few words."""
    return OpenApiParameter(
        name, str, OpenApiParameter.PATH, enum=list(values), description=description
    )


class PageSessionScheme(SessionScheme):  # type: ignore[no-untyped-call]
    """The session of a page, which some operations take too."""

    target_class = "apps.accounts.oidc.PageSession"


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The token that every operation takes, but the one that gives pipelines theirs."""

    target_class = "apps.accounts.oidc.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token of the identity provider for the API; of a pipeline "
            "the one that its run got here.",
        }
