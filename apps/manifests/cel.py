"""Type-checks cost expressions of Envoy AI Gateway (CEL) before anything is committed. Pure.

The gateway compiles an expression when its route changes and evaluates it at the end of each call.
One that does not compile makes the route unaccepted; one that fails or gives a negative number
leaves the call without a cost. So both are looked for here: the types by Google's own CEL, the
values by trying calls as they come.
"""

from cel_expr_python import cel

from apps.manifests.text import CannotRender

_STRINGS = ("model", "backend", "route_name")
_COUNTS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "total_tokens",
    "reasoning_tokens",
)
_NAMES = {"model": "m-v1", "backend": "models/m-v1/route/m/rule/0/ref/0", "route_name": "m"}
# Calls as the gateway tells them: an empty one, all cached, nothing cached, mostly thought, a long
# one.
_CALLS = (
    (0, 0, 0, 0, 0, 0),
    (1000, 1000, 0, 1, 1001, 0),
    (700, 0, 700, 40, 740, 0),
    (5, 0, 0, 2000, 2005, 1990),
    (120_000, 60_000, 0, 8_000, 128_000, 0),
)
_ENVIRONMENT = cel.NewEnv(
    variables={name: cel.Type.STRING for name in _STRINGS}
    | {name: cel.Type.UINT for name in _COUNTS}
)
LONGEST = 1000


class BadExpression(CannotRender):
    """The gateway would refuse this cost expression, or could not compute a cost with it. The text
    says why.
    """


def checked(expression: str) -> str:
    """Return a cost expression that the gateway can use; raise BadExpression otherwise.

    Numbers of tokens are uint: `output_tokens * 3u`, never `output_tokens * 3`. The result is a
    non-negative integer.
    """
    if len(expression) > LONGEST:
        raise BadExpression(f"A cost expression has at most {LONGEST} characters.")
    program = _compiled(expression)
    kind = program.return_type()
    if kind not in (cel.Type.UINT, cel.Type.INT):
        raise BadExpression(
            f"A cost is a non-negative integer; this expression gives {kind.name()}."
        )
    for call in _CALLS:
        _check_value(program, dict(zip(_COUNTS, call, strict=True)))
    return expression


def _compiled(expression: str) -> cel.Expression:
    try:
        return _ENVIRONMENT.compile(expression)
    except RuntimeError as error:  # the library's only error; its text names the place
        said = (
            str(error)
            .removeprefix("INVALID_ARGUMENT: ERROR: ")
            .removesuffix("[INVALID_ARGUMENT]")
            .strip()
        )
        hint = (
            " Numbers of tokens are uint: write 3u or uint(3)."
            if "no matching overload" in said
            else ""
        )
        raise BadExpression(
            f"The cost expression does not type-check: {said.splitlines()[0]}.{hint}"
        ) from None


def _check_value(program: cel.Expression, counts: dict[str, int]) -> None:
    result = program.eval(data=_NAMES | counts)
    found = result.value()
    tokens = ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "no tokens"
    if result.type() not in (cel.Type.UINT, cel.Type.INT):
        raise BadExpression(
            f"The cost expression cannot be computed for a call with {tokens}: {found}."
        )
    if found < 0:
        raise BadExpression(f"A cost is never negative; a call with {tokens} would cost {found}.")
