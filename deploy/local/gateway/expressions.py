"""Cost expressions of an AIGatewayRoute (CEL), compiled once and computed at the end of each call;
conditions of a SecurityPolicy, parsed for Envoy to compute. Pure.

As Envoy AI Gateway does it: numbers of tokens are uint, the result is a non-negative integer, an
expression that does not compile makes its route unaccepted, and a call for which it fails has no
such cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from cel_expr_python import cel
from google.api.expr.v1alpha1 import checked_pb2
from google.protobuf import any_pb2, json_format

from deploy.local.gateway.refusal import Refused
from deploy.local.gateway.usage import Usage

_NAMES = ("model", "backend", "route_name")
_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
)
_NEVER_TOLD = "cache_creation_input_tokens"  # by no engine of ours
# what Envoy tells of a request; the token's claims are among the metadata
_ATTRIBUTES = cel.NewEnv(
    variables={name: cel.Type.DYN for name in ("request", "source", "connection", "metadata")}
)
_INTEGERS = (cel.Type.UINT, cel.Type.INT)
_ENVIRONMENT = cel.NewEnv(
    variables={name: cel.Type.STRING for name in _NAMES}
    | {name: cel.Type.UINT for name in (*_COUNTS, _NEVER_TOLD)}
)


@cache
def program(expression: str) -> Any:
    """Return the compiled expression. Raises Refused where it does not compile to an integer."""
    try:
        found = _ENVIRONMENT.compile(expression)
    except RuntimeError as error:  # the library's only error; its text names the place
        said = str(error).removeprefix("INVALID_ARGUMENT: ").splitlines()[0]
        raise Refused(f"llmRequestCosts: the CEL expression does not type-check: {said}") from None
    if found.return_type() not in _INTEGERS:
        raise Refused(
            f"llmRequestCosts: the CEL expression gives {found.return_type().name()}, "
            f"not an integer"
        )
    return found


def value_of(expression: str, usage: Usage, names: Mapping[str, str]) -> int | None:
    """Return what a call costs by an expression; None where it cannot be computed or is negative.

    names: model, backend and route_name.
    """
    counts = {name: getattr(usage, name) for name in _COUNTS} | {_NEVER_TOLD: 0}
    result = program(expression).eval(data={**names, **counts})
    if result.type() not in _INTEGERS or result.value() < 0:
        return None
    return int(result.value())


@cache
def condition(expression: str) -> dict[str, Any]:
    """Return a rule's condition as the tree that Envoy takes. Raises Refused where it does not
    compile to true or false.
    """
    try:
        found = _ATTRIBUTES.compile(expression)
    except Exception as problem:
        raise Refused(f"the condition {expression} does not compile: {problem}") from None
    if found.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
        raise Refused(f"the condition {expression} is not true or false")
    wrapped = any_pb2.Any.FromString(found.serialize())
    tree = checked_pb2.CheckedExpr.FromString(wrapped.value).expr
    return dict(json_format.MessageToDict(tree, preserving_proto_field_name=True))
