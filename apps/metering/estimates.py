"""What calls used whose usage never came: estimated by the gate from what passed, and where it
could not, from what the engine counted. Pure.

An estimate is never mixed with what was metered: it has columns of its own, and says its method.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.fleet.metrics.counts import EngineCount

# version 1 took every prompt token that the engine counted for one that was read anew, once;
# version 2 knew of no gate
METHOD = "engine-hour-3"
METHOD_WORDS = (
    "Where the gate saw an answer pass that told no usage, what it made of the texts that passed. "
    "Else what the engine of a version counted in an hour, less that and what its metered calls of "
    "that hour tell, shared evenly among its other calls without usage, and at most the model's "
    "context for each. "
    "Prompt tokens that the engine computed are told from those that it had in its cache, where it "
    "tells them apart and every metered call told its cached share. A prompt that is read once "
    "more for each further answer comes from the cache: in an hour with such calls, and in one "
    "with calls that the gate estimated, no cached "
    "tokens are estimated, and where the engine does not tell them apart the estimate can be too "
    "high. A call belongs to the hour in which it began. Where the engine was not watched for the "
    "whole hour, or reranked, which no answer tells the tokens of, nothing is estimated."
)
OF_THE_GATE = ("gate_calls", "gate_input_tokens", "gate_output_tokens")
ESTIMATED = (
    "estimated_calls",
    "estimated_input_tokens",
    "estimated_cached_input_tokens",
    "estimated_output_tokens",
)


@dataclass(frozen=True)
class _Missing:
    """What a version's engine counted beyond its metered calls, in tokens: read anew, cached and
    written.
    """

    fresh: int
    cached: int
    output: int


def with_estimates(
    sums: Iterable[Mapping[str, Any]],
    counts: Mapping[str, EngineCount],
    contexts: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return one hour's sums with the four estimated figures, which have taken in what the gate
    estimated.

    sums: as store.hour_sums returns them. counts: version → what its engine counted in that hour.
    contexts: model → tokens. In a row of a version without whole counts only the calls that the
    gate estimated are estimated: the others without usage stay unknown.
    """
    rows = [dict(row) | dict.fromkeys(ESTIMATED, 0) for row in sums]
    by_version: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_version.setdefault(row["version"], []).append(row)
    for version, found in by_version.items():
        count = counts.get(version)
        if count is not None and count.is_whole and not any(r["rerank_requests"] for r in found):
            _estimate(found, count, contexts)
    for row in rows:
        calls, read, written = (row.pop(name) for name in OF_THE_GATE)
        row["estimated_calls"] += calls
        row["estimated_input_tokens"] += read
        row["estimated_output_tokens"] += written
    return rows


def _estimate(rows: list[dict[str, Any]], count: EngineCount, contexts: Mapping[str, int]) -> None:
    """Share what one version's engine counted beyond its metered calls, and those that the gate
    estimated.
    """
    calls = sum(row["unmetered_calls"] - row["gate_calls"] for row in rows)
    if not calls:
        return
    missing = _missing(rows, count)
    for row in rows:
        own = row["unmetered_calls"] - row["gate_calls"]
        context = contexts.get(row["model"], 0)
        fresh = min(missing.fresh // calls, context)
        cached = min(missing.cached // calls, context - fresh)
        row["estimated_calls"] = own
        row["estimated_input_tokens"] = (fresh + cached) * own
        row["estimated_cached_input_tokens"] = cached * own
        row["estimated_output_tokens"] = min(missing.output // calls, context) * own


def _missing(rows: Sequence[Mapping[str, Any]], count: EngineCount) -> _Missing:
    """Return what no metered call tells, and the gate did not see pass."""

    def metered(name: str) -> int:
        return sum(row[name] for row in rows)

    written = metered("output_tokens") + metered("gate_output_tokens")
    output = max(count.generation_tokens - written, 0)
    untold = metered("cached_unknown_calls") or metered("embedding_input_tokens")
    cached, known = count.cached_prompt_tokens, not (untold or metered("gate_calls"))
    if cached is None or not known:
        read = metered("input_tokens") + metered("gate_input_tokens")
        return _Missing(max(count.prompt_tokens - read, 0), 0, output)
    computed = count.prompt_tokens - cached
    fresh = computed - (metered("input_tokens") - metered("cached_input_tokens"))
    # None: whether prompts were read more than once is not told, so they may have been
    again = count.further_answers != 0
    rest = 0 if again else cached - metered("cached_input_tokens")
    return _Missing(max(fresh, 0), max(rest, 0), output)
