"""Every place of an answer where words can stand, plain or as an event of a stream. Pure.

All strings are words, but the few that the engine itself writes; so what a later engine adds is
looked at and does not slip by. Pieces of one text share a lane: what a choice says, what it thinks,
each tool call's arguments, and the tokens of its log probabilities. What holds words that cannot be
read (token ids, sound) raises Unreadable.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Lane = tuple[object, ...]
Put = Callable[[str], None]

# What the engine writes about an answer, and no model.
_ENGINES_OWN = frozenset({
    "id", "object", "created", "model", "system_fingerprint", "service_tier", "usage", "metrics",
    "embedding", "routed_experts",
})  # fmt: skip
_ENDINGS = frozenset({
    None, "stop", "length", "tool_calls", "function_call", "content_filter", "abort", "error",
    "repetition",
})  # fmt: skip
_ROLES = frozenset({None, "", "assistant", "tool", "user", "system", "developer", "function"})
_TYPES = frozenset({None, "function"})
_TOKENS = frozenset({"token_ids", "prompt_token_ids", "output_token_ids"})
# Names of fields: any other key is somebody's words, as the tokens of `top_logprobs` are.
_FIELDS = frozenset({
    "annotations", "arguments", "audio", "bytes", "choices", "citations", "code", "content",
    "created", "data", "decoded_token", "delta", "document", "ec_transfer_params", "end_index",
    "error", "expires_at", "finish_reason", "function", "function_call", "id", "index",
    "kv_transfer_params", "logprob", "logprobs", "matched_stop", "message", "model", "name",
    "object", "param", "prompt_logprobs", "prompt_text", "prompt_token_ids", "rank", "reasoning",
    "reasoning_content", "refusal", "relevance_score", "results", "role", "routed_experts",
    "score", "start_index", "stop", "stop_reason", "system_fingerprint", "text", "text_offset",
    "title", "token", "token_ids", "token_logprobs", "tokens", "tool_call_id", "tool_calls",
    "top_logprobs", "transcript", "type", "url", "url_citation", "usage",
})  # fmt: skip
_FEW = 3  # a list of so many whole numbers holds no words


class Unreadable(Exception):
    """Words stand where they cannot be read. The text says where."""


@dataclass(frozen=True)
class Part:
    """Words at one place. lane: of the text that it is a piece of; None where it stands alone.
    choice: the answer that it belongs to, None for what belongs to all. put: writes other words
    there, or takes away what cannot be written anew.
    """

    where: str
    text: str
    put: Put
    lane: Lane | None = None
    choice: int | None = None


def parts(document: Mapping[str, Any]) -> Iterator[Part]:
    """Yield all words of an answer, or of one event of it. Raises Unreadable."""
    for key, value in document.items():
        if key == "choices" and isinstance(value, list):
            for position, choice in enumerate(value):
                yield from _choice(choice, position)
        elif key not in _ENGINES_OWN:
            yield from _field(document, key, value, _named(key), None)


def choices_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the choices of an answer or event, those that are objects."""
    found = document.get("choices")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def index_of(choice: Mapping[str, Any], position: int = 0) -> int:
    """Return which of the call's answers a choice is."""
    found = choice.get("index", position)
    return found if isinstance(found, int) else position


def drop_logprobs(choice: dict[str, Any]) -> None:
    """Take a choice's tokens away: they would tell what was masked."""
    if choice.get("logprobs") is not None:
        choice["logprobs"] = None


def _choice(choice: Any, position: int) -> Iterator[Part]:
    if not isinstance(choice, dict):
        raise Unreadable(f"choices[{position}]")
    index = index_of(choice, position)
    where = f"choices[{index}]"
    for key, value in choice.items():
        place = f"{where}.{_named(key)}"
        if key in ("index", "routed_experts") or (
            key == "finish_reason" and _is_in(_ENDINGS, value)
        ):
            continue
        if key in ("delta", "message") and isinstance(value, dict):
            yield from _message(value, place, index)
        elif key == "text" and isinstance(value, str):
            yield _joined(choice, key, value, place, (index, key))
        elif key == "logprobs" and isinstance(value, dict):
            yield from _logprobs(choice, value, place, index)
        else:
            yield from _field(choice, key, value, place, index)


def _message(message: dict[str, Any], where: str, index: int) -> Iterator[Part]:
    for key, value in message.items():
        place = f"{where}.{_named(key)}"
        if key == "role" and _is_in(_ROLES, value):
            continue
        if isinstance(value, str):  # whatever it is called, a stream may bring it in pieces
            if key not in _FIELDS:
                yield Part(place, str(key), _remover(message, key), None, index)
            yield _joined(message, key, value, place, (index, key))
        elif key == "tool_calls" and isinstance(value, list):
            for position, call in enumerate(value):
                yield from _tool_call(call, position, place, index)
        elif key == "function_call" and isinstance(value, dict):
            yield from _function(value, place, index, (index, key))
        elif key == "audio" and isinstance(value, dict):
            yield from _audio(value, place, index)
        else:
            yield from _field(message, key, value, place, index)


def _tool_call(call: Any, position: int, where: str, index: int) -> Iterator[Part]:
    if not isinstance(call, dict):
        raise Unreadable(where)
    number = index_of(call, position)
    place = f"{where}[{number}]"
    for key, value in call.items():
        if key == "index" or (key == "type" and _is_in(_TYPES, value)):
            continue
        if key == "function" and isinstance(value, dict):
            yield from _function(value, f"{place}.function", index, (index, "tool_calls", number))
        else:
            yield from _field(call, key, value, f"{place}.{_named(key)}", index)


def _function(function: dict[str, Any], where: str, index: int, lane: Lane) -> Iterator[Part]:
    for key, value in function.items():
        if key == "arguments" and isinstance(value, str):
            yield _joined(function, key, value, f"{where}.{key}", lane)
        else:
            yield from _field(function, key, value, f"{where}.{_named(key)}", index)


def _audio(audio: dict[str, Any], where: str, index: int) -> Iterator[Part]:
    for key, value in audio.items():
        if key == "data" and value:
            raise Unreadable(f"{where}.data")
        if key == "transcript" and isinstance(value, str):
            yield _joined(audio, key, value, f"{where}.{key}", (index, "audio"))
        elif key not in ("id", "expires_at"):
            yield from _field(audio, key, value, f"{where}.{_named(key)}", index)


def _logprobs(
    choice: dict[str, Any], found: dict[str, Any], where: str, index: int
) -> Iterator[Part]:
    """Yield the tokens as texts: those that were taken, and those of each rank beside them."""

    def put(_: str) -> None:
        drop_logprobs(choice)

    for lane, text in _token_texts(found):
        yield Part(f"{where}.{lane}", text, put, (index, "logprobs", lane), index)


def _token_texts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (lane, text) of a choice's log probabilities, of a chat's and of a completion's."""
    for kind in found:
        entries = found[kind] or []
        if kind in ("token_logprobs", "text_offset"):
            continue
        if not isinstance(entries, list):
            raise Unreadable("logprobs")
        if kind == "tokens":
            yield kind, "".join(str(one) for one in entries)
        elif kind == "top_logprobs":
            yield from _ranks(kind, [list(one or {}) for one in entries])
        elif all(isinstance(one, dict) for one in entries):
            yield kind, "".join(str(one.get("token", "")) for one in entries)
            yield f"{kind}.bytes", _decoded(entries)
            others = [one.get("top_logprobs") or [] for one in entries]
            tokens = [[str(two.get("token", "")) for two in one] for one in others]
            yield from _ranks(f"{kind}.top_logprobs", tokens)
            for rank in range(max((len(one) for one in others), default=0)):
                at_rank = [one[rank] for one in others if rank < len(one)]
                yield f"{kind}.top_logprobs[{rank}].bytes", _decoded(at_rank)
        else:
            raise Unreadable(f"logprobs.{kind}")


def _ranks(kind: str, tokens: list[list[str]]) -> Iterator[tuple[str, str]]:
    for rank in range(max((len(one) for one in tokens), default=0)):
        yield f"{kind}[{rank}]", "".join(one[rank] for one in tokens if rank < len(one))


def _decoded(entries: list[dict[str, Any]]) -> str:
    try:
        return b"".join(bytes(one.get("bytes") or ()) for one in entries).decode(errors="replace")
    except (TypeError, ValueError) as problem:
        raise Unreadable("logprobs.bytes") from problem


def _joined(holder: dict[str, Any], key: str, text: str, where: str, lane: Lane) -> Part:
    def put(new: str) -> None:
        holder[key] = new

    index = lane[0]
    return Part(where, text, put, lane, index if isinstance(index, int) else None)


def _field(holder: Any, key: Any, value: Any, where: str, choice: int | None) -> Iterator[Part]:
    """Yield the words of something that has no rule of its own: its name, where that is no field's,
    and its value's.
    """
    if key == "embedding":
        return
    if key not in _FIELDS:
        yield Part(where, str(key), _remover(holder, key), None, choice)
    yield from _any(holder, key, value, where, choice)


def _any(holder: Any, key: Any, value: Any, where: str, choice: int | None) -> Iterator[Part]:
    if isinstance(value, str):
        if value:
            yield Part(where, value, _writer(holder, key), None, choice)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _field(value, name, inner, f"{where}.{_named(name)}", choice)
    elif isinstance(value, list):
        if value and (key in _TOKENS or _is_numbers(value)):
            raise Unreadable(where)
        for position, inner in enumerate(value):
            yield from _any(value, position, inner, f"{where}[{position}]", choice)


def _named(key: Any) -> str:
    """Return a field's name; a name that is somebody's words is told to nobody."""
    return key if key in _FIELDS else "*"


def _is_numbers(value: list[Any]) -> bool:
    return len(value) > _FEW and all(type(one) is int for one in value)


def _is_in(known: frozenset[str | None], value: Any) -> bool:
    return (value is None or isinstance(value, str)) and value in known


def _writer(holder: Any, key: Any) -> Put:
    def put(new: str) -> None:
        holder[key] = new

    return put


def _remover(holder: Any, key: Any) -> Put:
    """Return what takes a field away whose name is somebody's words."""

    def put(_: str) -> None:
        del holder[key]

    return put
