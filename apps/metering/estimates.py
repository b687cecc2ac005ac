"""What calls used whose usage never came: estimated from what the engine counted. Pure.

An estimate is never mixed with what was metered: it has columns of its own, and says its method.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.fleet.metrics.counts import EngineCount

METHOD = "engine-hour-1"
METHOD_WORDS = (
    "What the engine of a version counted in an hour, less what its metered calls of that hour "
    "tell, shared evenly among its calls without usage, and at most the model's context for each. "
    "A call belongs to the hour in which it began, and the engine counts a prompt once for each "
    "answer that was asked for, so an estimate can be too high. Where the engine was not watched "
    "for the whole hour, nothing is estimated."
)
ESTIMATED = ("estimated_calls", "estimated_input_tokens", "estimated_output_tokens")


def with_estimates(
    sums: Iterable[Mapping[str, Any]],
    counts: Mapping[str, EngineCount],
    contexts: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return one hour's sums with the three estimated figures.

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
        if count is not None and count.is_whole:
            _estimate(found, count, contexts)
    return rows


def _estimate(rows: list[dict[str, Any]], count: EngineCount, contexts: Mapping[str, int]) -> None:
    """Share what one version's engine counted beyond its metered calls."""
    calls = sum(row["unmetered_calls"] for row in rows)
    if not calls:
        return
    missing_input = max(count.prompt_tokens - sum(row["input_tokens"] for row in rows), 0)
    missing_output = max(count.generation_tokens - sum(row["output_tokens"] for row in rows), 0)
    for row in rows:
        own, context = row["unmetered_calls"], contexts.get(row["model"], 0)
        row["estimated_calls"] = own
        row["estimated_input_tokens"] = min(missing_input // calls, context) * own
        row["estimated_output_tokens"] = min(missing_output // calls, context) * own
