"""How long an evaluation run usually takes, by earlier ones that came to a result. Pure.

A median of few runs says of how many. Whether they ran on simulated nodes only the fleet knows:
whoever has asked it says so here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from apps.common import progress
from apps.evals.models import EvalRun

MOST = 10  # earlier runs that are looked at


@dataclass(frozen=True)
class Pace:
    """How long the phases of earlier runs took: until the candidate served, until all packets were
    answered, until it was removed. None where no earlier run tells.
    """

    runs: int = 0
    start: timedelta | None = None
    ask: timedelta | None = None
    remove: timedelta | None = None
    is_simulated: bool = False

    @property
    def whole(self) -> timedelta | None:
        """Return how long it usually takes to a result; None where no earlier run tells."""
        return self.start + self.ask if self.start is not None and self.ask is not None else None

    @property
    def basis(self) -> str:
        """Return what the typical times rest on, in words; "" without any."""
        if not self.runs:
            return ""
        rests = f"of {self.runs} earlier runs" if self.runs > 1 else "of one earlier run"
        middle = "Typical times are the median" if self.runs > 1 else "Typical times are those"
        return f"{middle} {rests}{', on simulated nodes' if self.is_simulated else ''}."


def pace_of(earlier: Sequence[EvalRun], *, is_simulated: bool = False) -> Pace:
    """Return the pace of runs that came to a result."""
    return Pace(
        runs=len(earlier),
        start=_median((run.requested_at, run.serving_at) for run in earlier),
        ask=_median((run.serving_at, run.finished_at) for run in earlier),
        remove=_median((run.finished_at, run.removed_at) for run in earlier),
        is_simulated=is_simulated and bool(earlier),
    )


def _median(spans: Iterable[tuple[datetime | None, datetime | None]]) -> timedelta | None:
    known = [(end - begin).total_seconds() for begin, end in spans if begin and end]
    return timedelta(seconds=median(known)) if known else None


def took(begin: datetime | None, end: datetime | None) -> str:
    """Return how long something took: "42 s", "3 min 05 s"; "" where one end is not known."""
    return "" if begin is None or end is None else progress.took(end - begin)
