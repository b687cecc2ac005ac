"""A call as it came, read into a Call, or refused with what is wrong, where, and what to do. Pure.

Nothing that the gate cannot count or inspect passes: what a call may ask for is bounded by the
caller's grant and the model's context, and the engine is asked for nothing that hides what it made.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.gateway.gate import documents, fields, refusals
from apps.gateway.gate.calls import Call
from apps.gateway.gate.claims import caller_of
from apps.gateway.gate.texts import texts_of
from apps.manifests.gateway import INTERACTIVE, MODEL_HEADER
from apps.metering.access_log import OPERATIONS
from apps.metering.models import Operation
from apps.prompts.subjects import BadName, Subject, subject_of

MOST_BYTES = 10 * 1024 * 1024  # as in the field's coming GuardrailPolicy
MOST_CHOICES = 16
MOST_TOKENS = 10_000_000  # where a model's context is not known
PLAIN_TOKENS = 16  # what engines give a plain completion that asks for no number


@dataclass(frozen=True)
class Bounds:
    """What a team may ask of a model at most. context: the model's, in tokens, None where nobody
    knows it; choices: answers to one prompt; takes_tokens: token ids may stand in the place of
    text, for no rule must read it; service_class: of its calls, as its grant says.
    """

    context: int | None = None
    choices: int = MOST_CHOICES
    body_bytes: int = MOST_BYTES
    takes_tokens: bool = False
    service_class: str = INTERACTIVE


@dataclass(frozen=True)
class Asked:
    """A call as it came. headers: by their names in small letters, with Envoy's own
    (":method"); claims: the payload of the
    verified token; id: the gateway's own request id.
    """

    id: str
    at: datetime
    path: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # one may name a member
    claims: Mapping[str, Any] = field(default_factory=dict)


def read(asked: Asked, bounds_of: Callable[[str, str], Bounds]) -> Call:
    """Return the call. bounds_of: what a team may ask of a model. Raises Refusal 400, 401, 404, 405
    or 413; nothing in it repeats what was sent.
    """
    caller = caller_of(asked.claims)
    path = asked.path.partition("?")[0]
    operation = OPERATIONS.get(path)
    if operation is None:
        raise refusals.path_not_found(OPERATIONS)
    if asked.headers.get(":method", "POST") != "POST":
        raise refusals.method_not_allowed()
    documents.check_headers(asked.headers)
    body = documents.read(asked.body, most_bytes=MOST_BYTES)
    model = _model(body, asked.headers.get(MODEL_HEADER))
    bounds = bounds_of(caller.team, model)
    if len(asked.body) > bounds.body_bytes:
        raise refusals.too_large(bounds.body_bytes)
    fields.check(operation, body)
    texts = texts_of(operation, body)
    if texts.has_tokens and not bounds.takes_tokens:
        raise refusals.not_inspectable("prompt" if "prompt" in body else "input")
    is_written = operation in fields.WRITING
    stream = body.get("stream") is True
    return Call(
        id=_id(asked.id),
        at=asked.at,
        caller=caller,
        path=path,
        operation=operation,
        model=model,
        stream=stream,
        n=_choices(body, bounds) * texts.prompts if is_written else 1,
        max_tokens=_most_tokens(operation, body, bounds),
        has_images=texts.has_media,
        continuous_usage=is_written and _continuous(body, stream=stream),
        texts=tuple(texts.found),
        body=asked.body,
        service_class=bounds.service_class,
        subject=_subject(asked.headers),
    )


def _subject(headers: Mapping[str, str]) -> Subject | None:
    """Return whose record the call is, where the caller named somebody."""
    try:
        return subject_of(headers)
    except BadName as problem:
        raise refusals.malformed(f"The header {problem}", code="subject_invalid") from None


def _id(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise refusals.unavailable("the gateway gave it no id") from None


def _model(body: Mapping[str, Any], routed: str | None) -> str:
    """Return the model that the body names. Raises Refusal where it is another one than the call
    was routed by. routed: the gateway's own word, None where it gave none.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model.isascii() or not model.isprintable() or not model:
        raise refusals.field_invalid("model", "the name of a model. GET /v1/models lists them")
    if routed is not None and routed != model:
        raise refusals.field_invalid("model", "the same for every program that reads the body")
    return model


def _choices(body: Mapping[str, Any], bounds: Bounds) -> int:
    """Return how many answers the engine makes to one prompt."""
    wanted = _within(body, "n", 1, bounds.choices) or 1
    tried = _within(body, "best_of", wanted, bounds.choices) or wanted
    return max(wanted, tried)


def _most_tokens(operation: str, body: Mapping[str, Any], bounds: Bounds) -> int | None:
    """Return how long one answer may get, in tokens; None where only the context ends it. An
    engine's own limit for plain completions is told.
    """
    if body.get("priority"):
        raise refusals.not_supported("priority", "A grant's class says which calls go first.")
    if operation not in fields.WRITING:
        return 0
    most = bounds.context or MOST_TOKENS
    # a plain completion that only echoes its prompt makes none
    least = 0 if operation == Operation.COMPLETION and body.get("echo") else 1
    old = _within(body, "max_tokens", least, most)
    if operation == Operation.COMPLETION:
        return PLAIN_TOKENS if old is None else old
    new = _within(body, "max_completion_tokens", least, most)
    if old is not None and new is not None and old != new:
        raise refusals.field_invalid("max_tokens", "the same as max_completion_tokens, or left out")
    return old if new is None else new


def _within(body: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if not least <= value <= most:
        raise refusals.field_invalid(name, f"between {least:,} and {most:,}")
    return int(value)


def _continuous(body: Mapping[str, Any], *, stream: bool) -> bool:
    """Tell whether each piece of the stream says what was used so far. Raises Refusal where a
    stream hides what the engine makes: whoever leaves it early must pay for that too.
    """
    options = body.get("stream_options") or {}
    if options and not stream:
        raise refusals.field_invalid("stream_options", "left out where stream is not true")
    # the engine tells it only where both are asked for
    continuous = all(options.get(name) is True for name in fields.CONTINUOUS)
    if not stream or continuous:
        return continuous
    if body.get("include_reasoning") is False:
        raise refusals.field_invalid(
            "stream_options",
            '{"include_usage": true, "continuous_usage_stats": true} where include_reasoning is '
            "false, so that what nobody sees is counted",
        )
    if (body.get("stream_interval") or 1) != 1:
        raise refusals.field_invalid("stream_interval", "1, so that each token is counted")
    return False
