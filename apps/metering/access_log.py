"""Access-log records of the gateway, read into UsageRecords. Pure.

The same keys come by OTLP (values are text, a missing one is "-") and by file (JSON, a missing one
is null). The keys are those of the EnvoyProxy object in deploy/gateway. Unknown keys are ignored: a
newer gateway may send more.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from apps.metering.gate.counts import GateCount, Judged, Tokens, basis_of, judged
from apps.metering.models import BROKE_OFF, Completeness, Operation, Outcome, Unmetered
from apps.metering.quarantine.models import Doubt

_PREDICTOR = re.compile(r"^([a-z0-9-]+-v[0-9]+)-predictor\.")
_CLUSTER = re.compile(r"(?:^|/)([a-z0-9-]+-v[0-9]+)$")
# no healthy upstream host, or no connection to it: the cluster was chosen, and failed
NO_HOST = ("UH", "UF")
# Envoy's flags of an answer that had begun and did not end: by the caller, the engine, a time limit
_BY_CLIENT = {"DC", "DPE"}
_BY_ENGINE = {"UC", "UF", "UR", "UPE", "UO", "URX"}
_BY_CLOCK = {"UT", "SI", "DT", "UMSDR"}
_WHOLE_ANSWER = "via_upstream"  # what Envoy says of an answer that came to its end


# The paths of Envoy AI Gateway, by what is called there. It tells the kind of a call nowhere else.
OPERATIONS = {
    "/v1/chat/completions": Operation.CHAT,
    "/v1/completions": Operation.COMPLETION,
    "/v1/embeddings": Operation.EMBEDDING,
    "/cohere/v2/rerank": Operation.RERANK,
}
PATHS = {str(operation): path for path, operation in OPERATIONS.items()}
# The only keys that are kept of a record in doubt, each with what its values are made of: what else
# a gateway sends, or a caller made it send, could be anything. A sentence fits none of them.
_TIME, _NUMBER = re.compile(r"[0-9TZ:.+-]+"), re.compile(r"[0-9.eE+-]+")
_ID, _NAME = re.compile(r"[0-9a-fA-F-]+"), re.compile(r"[A-Za-z0-9._:/,@|-]+")
_PATH = re.compile("|".join(map(re.escape, OPERATIONS)))  # a caller can ask for any other
KEYS = {
    "x-request-id": _ID,
    "start_time": _TIME,
    "response_code": _NUMBER,
    "response_flags": _NAME,
    "response_code_details": _NAME,
    "duration": _NUMBER,
    "path": _PATH,
    "team": _NAME,
    "cost_center": _NAME,
    "user_id": _NAME,
    "route_name": _NAME,
    "upstream_cluster": _NAME,
    "upstream_host": _NAME,
    "gen_ai.request.model": _NAME,
    "gen_ai.request.model_override": _NAME,
    "gen_ai.usage.input_tokens": _NUMBER,
    "gen_ai.usage.cached_input_tokens": _NUMBER,
    "gen_ai.usage.output_tokens": _NUMBER,
    "gen_ai.latency.ttft_ms": _NUMBER,
    "gate.basis": _NAME,
    "gate.usage.input_tokens": _NUMBER,
    "gate.usage.cached_input_tokens": _NUMBER,
    "gate.usage.output_tokens": _NUMBER,
    "gate.usage.completeness": _NAME,
}
_LONGEST_KEPT = 255  # characters of a value
NOT_STORED = ("gate_tokens",)  # of a record
COUNTED = (
    "outcome", "team", "cost_center", "model", "version", "operation", "input_tokens",
    "cached_input_tokens", "output_tokens",
)  # fmt: skip
Counts = tuple[object, ...]


class BadRecord(ValueError):
    """The record cannot become a usage event. The text names the key, never a value a caller could
    have chosen. doubt: which kind of doubt that is.
    """

    def __init__(self, message: str, doubt: Doubt = Doubt.UNREADABLE) -> None:
        super().__init__(message)
        self.doubt = doubt


@dataclass(frozen=True)
class UsageRecord:
    """What one call used. Token counts are None where the gateway could not know them, and those
    of a rerank always: it is counted as a request.
    """

    event_id: UUID
    occurred_at: datetime
    outcome: str
    team: str
    cost_center: str
    user_id: str
    model: str
    version: str
    operation: str
    route: str
    response_code: int
    response_flags: str
    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    duration_ms: int | None
    ttft_ms: float | None
    unmetered_because: str = ""
    basis: str = ""
    estimated_input_tokens: int | None = None
    estimated_output_tokens: int | None = None
    # of the gate's figures of the same whole answer, where they are others; not stored with it
    gate_tokens: Tokens | None = None

    @property
    def counts(self) -> Counts:
        """Return what is counted of the call. Two records with one id must have the same."""
        return tuple(getattr(self, name) for name in COUNTED)


@dataclass(frozen=True)
class Entry:
    """One record as it came, and what was read of it.

    values: the keys it came with. record: None where it cannot be read. problem: why not, or why
    it is doubted; "" where it is not. doubt: of which kind. source: SHA-256 of what came, where no
    key of it could be read.
    """

    values: Mapping[str, object]
    record: UsageRecord | None
    problem: str = ""
    doubt: str = ""
    source: str = ""

    @property
    def kept(self) -> dict[str, str]:
        """Return the known keys with their values as text, the same for both ways."""
        found = {key: _raw(self.values, key) for key in KEYS}
        return {key: _kept(key, value) for key, value in found.items() if value is not None}

    @property
    def fingerprint(self) -> str:
        """Return SHA-256 over what is kept of it: the same for both ways."""
        text = json.dumps([self.kept, self.source], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def unreadable(source: bytes | memoryview, problem: str) -> Entry:
    """Return the entry of something that has no keys at all. Nothing of it is kept."""
    digest = hashlib.sha256(source).hexdigest()
    return Entry({}, None, problem, Doubt.UNREADABLE, source=digest)


def read_entry(values: Mapping[str, object]) -> Entry | None:
    """Return the record of a call, readable or not; None for a call that is no usage."""
    try:
        record = read_record(values)
    except BadRecord as error:
        return Entry(values, None, str(error), error.doubt)
    return Entry(values, record) if record else None


def read_record(values: Mapping[str, object]) -> UsageRecord | None:
    """Return the usage a record tells of; None for calls that name no model and were not refused (a
    model list).

    Raises BadRecord when the id, the time, the status or a count is missing or odd.
    """
    code = _count(values, "response_code")
    if code is None or code > 599:
        raise BadRecord("response_code is missing or not a status")
    model = _text(values, "gen_ai.request.model", 40)
    if not model and code < 400:
        return None
    operation, why = _operation(values), _why(values)
    found = _judged(values, code, operation)
    # an answer to a rerank tells no tokens, and needs none
    metered = found.tokens.is_whole and not found.is_estimate
    outcome = _outcome(code, metered or _is_answered_rerank(operation, code, why))
    tokens = found.columns
    # the gateway says 0 where nobody told, and no embedding is told to be cached
    if operation == Operation.EMBEDDING:
        tokens["cached_input_tokens"] = None
    return UsageRecord(
        event_id=_uuid(values),
        occurred_at=_time(values),
        outcome=outcome,
        team=_text(values, "team", 63),
        cost_center=_text(values, "cost_center", 32),
        user_id=_text(values, "user_id", 255),
        model=model,
        version=_version(values),
        operation=operation,
        route=_text(values, "route_name", 255),
        response_code=code,
        response_flags=_text(values, "response_flags", 64),
        **tokens,
        duration_ms=_count(values, "duration", 2**31 - 1),
        ttft_ms=_number(values, "gen_ai.latency.ttft_ms"),
        unmetered_because=_reason(values, outcome, why),
        basis=found.basis,
        gate_tokens=found.other,
    )


def _judged(values: Mapping[str, object], code: int, operation: str) -> Judged:
    """Return what counts of a call. A rerank is counted as a request, whatever it read; and only an
    answer of success was generated, so only of one does the gate's word count.
    """
    if operation == Operation.RERANK:
        return judged(None, None)
    return judged(_tokens(values), _gate(values) if code < 300 else None)


def _gate(values: Mapping[str, object]) -> GateCount | None:
    """Return what the gate counted; None where no gate told."""
    basis = basis_of(_raw(values, "gate.basis"))
    if basis is None:
        return None
    completeness = _text(values, "gate.usage.completeness", 12)
    told = [_count(values, f"gate.usage.{kind}_tokens") for kind in _KINDS]
    return GateCount(basis, completeness, Tokens(*told))


def _reason(values: Mapping[str, object], outcome: str, why: str) -> str:
    """Return why an answer did not tell its usage, or not to its end; "" where it did.

    What the gate ended itself it alone can tell; of what else went wrong Envoy knows more: to the
    gate, an engine that breaks off can look like a client that leaves.
    """
    gate = _gate(values)
    cut = gate.completeness if gate else ""
    if outcome == Outcome.METERED and cut in ("", Completeness.COMPLETE):
        return ""
    if outcome not in (Outcome.METERED, Outcome.UNMETERED):
        return ""
    if cut == Completeness.ENDED_EARLY and (outcome == Outcome.METERED or why == Unmetered.UNKNOWN):
        return Unmetered.ENDED_EARLY
    if why in (*BROKE_OFF, Unmetered.CLIENT_LEFT):
        return why
    by_gate = {
        Completeness.ABORTED: Unmetered.CLIENT_LEFT,
        Completeness.FAILED: Unmetered.ENGINE_BROKE_OFF,
    }
    return by_gate.get(Completeness(cut), why) if cut in by_gate else why


def _operation(values: Mapping[str, object]) -> str:
    """Return what kind of call it was; "" where the record does not tell."""
    path = _text(values, "path", 255).partition("?")[0]
    return OPERATIONS.get(path, Operation.OTHER) if path else ""


_KINDS = ("input", "cached_input", "output")


def _tokens(values: Mapping[str, object]) -> Tokens | None:
    """Return the tokens that the answer told; None where input or output is not told. Envoy AI
    Gateway writes 0 for whatever an answer does not tell, and no call reads nothing.
    """
    found = Tokens(*(_count(values, f"gen_ai.usage.{kind}_tokens") for kind in _KINDS))
    return found if found.is_whole and (found.input or found.output) else None


def _is_answered_rerank(operation: str, code: int, why: str) -> bool:
    return operation == Operation.RERANK and 200 <= code < 300 and why == Unmetered.NO_USAGE_TOLD


def _version(values: Mapping[str, object]) -> str:
    """Return the version that the call reached. The gateway names it for successful answers only.

    Where it failed, the host that was called tells it (a predictor's DNS name), or, where no host
    could be called, the cluster; by itself the cluster proves nothing, for it is filled in for
    calls that were refused before it, too.
    """
    named = _text(values, "gen_ai.request.model_override", 63)
    host = _PREDICTOR.search(_text(values, "upstream_host", 255))
    if named or host:
        return named or (host.group(1)[:63] if host else "")
    flags = _text(values, "response_flags", 64).split(",")
    cluster = _CLUSTER.search(_text(values, "upstream_cluster", 255))
    return cluster.group(1)[:63] if cluster and any(flag in flags for flag in NO_HOST) else ""


def _outcome(code: int, metered: bool) -> str:
    """Return the outcome: usage decides where it is known, else the status. Code 0 or 2xx without
    usage: aborted.
    """
    if metered:
        return Outcome.METERED
    if code >= 500:
        return Outcome.FAILED
    return Outcome.REFUSED if code >= 400 else Outcome.UNMETERED


def _why(values: Mapping[str, object]) -> str:
    """Return why the usage of a call that was answered is unknown, if it is; UNKNOWN where nothing
    tells.
    """
    details = _text(values, "response_code_details", 255)
    flags = set(_text(values, "response_flags", 64).split(",")) - {""}
    if "ext_proc_error" in details:  # first: what it breaks off looks like the engine's end
        return Unmetered.GATEWAY_FAILED
    if flags & _BY_CLIENT:
        return Unmetered.CLIENT_LEFT
    if flags & _BY_CLOCK:
        return Unmetered.TOOK_TOO_LONG
    if flags & _BY_ENGINE or details.startswith("upstream_reset"):
        return Unmetered.ENGINE_BROKE_OFF
    whole = details == _WHOLE_ANSWER and not flags
    return Unmetered.NO_USAGE_TOLD if whole else Unmetered.UNKNOWN


def _raw(values: Mapping[str, object], key: str) -> object | None:
    value = values.get(key)
    return None if value in ("", "-") else value


def _text(values: Mapping[str, object], key: str, limit: int) -> str:
    value = _raw(values, key)
    return "" if value is None else _clean(str(value), limit)


def _clean(text: str, limit: int) -> str:
    """Return what the database takes of a text: neither half characters nor NUL."""
    if text.isascii() and "\x00" not in text:
        return text[:limit]
    return text[:limit].replace("\x00", "").encode(errors="ignore").decode()


def _kept(key: str, value: object) -> str:
    """Return what is kept of a value that nobody could believe yet. A number that came as 12, 12.0
    or "12" is the same.
    """
    text = str(value)
    if isinstance(value, float):
        text = text.removesuffix(".0")
    if len(text) > _LONGEST_KEPT or not KEYS[key].fullmatch(text):
        return f"({len(text):,} characters, not kept)"
    return text


def _number(values: Mapping[str, object], key: str, highest: int = 2**53 - 1) -> float | None:
    value = _raw(values, key)
    if value is None:
        return None
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise BadRecord(f"{key} is not a number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise BadRecord(f"{key} is not a number") from None
    if not 0 <= number <= highest:
        raise BadRecord(f"{key} is out of range", Doubt.ABSURD)
    return number


def _count(values: Mapping[str, object], key: str, highest: int = 2**53 - 1) -> int | None:
    value = values.get(key)
    # nearly every count comes as a short text of digits, which needs no further look
    if isinstance(value, str) and len(value) < 9 and value.isdecimal():
        return int(value)
    number = _number(values, key, highest)
    if number is not None and number != int(number):
        raise BadRecord(f"{key} is not a whole number")
    return None if number is None else int(number)


def _uuid(values: Mapping[str, object]) -> UUID:
    try:
        return UUID(str(_raw(values, "x-request-id")))
    except ValueError:
        raise BadRecord("x-request-id is missing or not a UUID") from None


def _time(values: Mapping[str, object]) -> datetime:
    try:
        time = datetime.fromisoformat(str(_raw(values, "start_time")))
    except ValueError:
        raise BadRecord("start_time is missing or not ISO 8601") from None
    if time.tzinfo is None:
        raise BadRecord("start_time has no zone")
    if not 2000 <= time.year < 9999:
        raise BadRecord("start_time is out of range")
    return time.astimezone(UTC)  # hours are summed by UTC hour
