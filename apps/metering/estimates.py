"""What calls used whose usage never came: estimated from what the engine counted. Pure.

An estimate is never mixed with what was metered: it has columns of its own, and says its method.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.fleet.metrics.counts import EngineCount

# version 1 took every prompt token that the engine counted for one that was read anew, once
METHOD = "engine-hour-2"
METHOD_WORDS = (
    "What the engine of a version counted in an hour, less what its metered calls of that hour "
    "tell, shared evenly among its calls without usage, and at most the model's context for each. "
    "Prompt tokens that the engine computed are told from those that it had in its cache, where it "
    "tells them apart and every metered call told its cached share. A prompt that is read once "
    "more for each further answer comes from the cache: in an hour with such calls no cached "
    "tokens are estimated, and where the engine does not tell them apart the estimate can be too "
    "high. A call belongs to the hour in which it began. Where the engine was not watched for the "
    "whole hour, or reranked, which no answer tells the tokens of, nothing is estimated."
)
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
    """Return one hour's sums with the four estimated figures.

    sums: as store.hour_sums returns them. counts: version → what its engine counted in that hour.
    contexts: model → tokens. A row of a version without whole counts has 0 estimated calls: its
    calls without usage stay unknown.
    """
    rows = [dict(row) | dict.fromkeys(ESTIMATED, 0) for row in sums]
    by_version: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_version.setdefault(row["version"], []).append(row)
    for version, found in by_version.items():
        count = counts.get(version)
        if count is not None and count.is_whole and not any(r["rerank_requests"] for r in found):
            _estimate(found, count, contexts)
    return rows


def _estimate(rows: list[dict[str, Any]], count: EngineCount, contexts: Mapping[str, int]) -> None:
    """Share what one version's engine counted beyond its metered calls."""
    calls = sum(row["unmetered_calls"] for row in rows)
    if not calls:
        return
    missing = _missing(rows, count)
    for row in rows:
        own, context = row["unmetered_calls"], contexts.get(row["model"], 0)
        fresh = min(missing.fresh // calls, context)
        cached = min(missing.cached // calls, context - fresh)
        row["estimated_calls"] = own
        row["estimated_input_tokens"] = (fresh + cached) * own
        row["estimated_cached_input_tokens"] = cached * own
        row["estimated_output_tokens"] = min(missing.output // calls, context) * own


def _missing(rows: Sequence[Mapping[str, Any]], count: EngineCount) -> _Missing:
    """Return what no metered call tells."""

    def metered(name: str) -> int:
        return sum(row[name] for row in rows)

    output = max(count.generation_tokens - metered("output_tokens"), 0)
    untold = metered("cached_unknown_calls") or metered("embedding_input_tokens")
    cached, known = count.cached_prompt_tokens, not untold
    if cached is None or not known:
        return _Missing(max(count.prompt_tokens - metered("input_tokens"), 0), 0, output)
    computed = count.prompt_tokens - cached
    fresh = computed - (metered("input_tokens") - metered("cached_input_tokens"))
    # None: whether prompts were read more than once is not told, so they may have been
    again = count.further_answers != 0
    rest = 0 if again else cached - metered("cached_input_tokens")
    return _Missing(max(fresh, 0), max(rest, 0), output)
