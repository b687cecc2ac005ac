"""Prometheus' text format → points. Pure.

An engine exposes a thousand lines and a page shows some forty of them: lines of other metrics are
left out before the parser sees them, which is most of what a scrape costs. NaN, infinities and
DCGM's "no value" marks are no figures and are dropped: a figure that is missing is not zero.
"""

import math
from collections.abc import Collection, Iterator

from prometheus_client.parser import text_string_to_metric_families

from apps.integrations.errors import PermanentError
from apps.integrations.prometheus.types import Point

BLANK = float(2**63 - 1024)  # DCGM writes 0x7ffffffffffffff0 to …fe where a field has no value
_SUFFIXES = ("_total", "_bucket", "_count", "_sum")


def parse(text: str, names: Collection[str]) -> list[Point]:
    """Return the points of the metrics called `names` (a counter's with _total, a histogram's
    without its suffix).

    Raises PermanentError for a text that is not of this format.
    """
    kept = "\n".join(_lines(text.replace("\0", ""), frozenset(names)))  # no database keeps a NUL
    try:
        found = [
            Point(sample.name, dict(sample.labels), float(sample.value))
            for family in text_string_to_metric_families(kept + "\n")
            for sample in family.samples
        ]
    except (ValueError, KeyError, IndexError) as error:
        raise PermanentError("Its metrics are not in Prometheus' text format.") from error
    return [point for point in found if is_figure(point.value)]


def is_figure(value: float) -> bool:
    """Tell whether a value says something."""
    return math.isfinite(value) and abs(value) < BLANK


def _lines(text: str, names: frozenset[str]) -> Iterator[str]:
    for line in text.splitlines():
        if line.startswith("#"):
            words = line.split(None, 3)
            if len(words) > 2 and words[1] == "TYPE" and _is_wanted(words[2], names):
                yield line
        elif _is_wanted(line.partition("{")[0].partition(" ")[0], names):
            yield line


def _is_wanted(name: str, names: frozenset[str]) -> bool:
    if name in names or f"{name}_total" in names:
        return True
    return any(name.endswith(suffix) and name[: -len(suffix)] in names for suffix in _SUFFIXES)
