"""Calls that got no answer, by why: refused, or failed. Hourly sums by team and model, never by
person.

A code that the sums do not count apart is told with the others of its kind; so are those of hours
that were added up before their code was counted apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import TruncDay, TruncHour

from apps.common.periods import DAY, HOUR, ZONE
from apps.metering.models import FAILURES, REFUSALS, HourlyUsage, Outcome


@dataclass(frozen=True)
class Reason:
    """Why calls got no answer. code: of the response; None: any that is not counted apart. words:
    short, to stand behind the code.
    """

    outcome: Outcome
    code: int | None
    words: str

    @property
    def key(self) -> str:
        """Return how addresses and files name it: "402", "refused", "failed"."""
        return str(self.code) if self.code else self.outcome.value.lower()

    @property
    def label(self) -> str:
        """Return it for people: "402: budget spent"."""
        return f"{self.code}: {self.words}" if self.code else self.words.capitalize()


# refused ones in the order in which a call meets their rules
REASONS = (
    *(
        Reason(Outcome.REFUSED, code, REFUSALS[code])
        for code in (401, 404, 403, 413, 400, 402, 429)
    ),
    Reason(Outcome.REFUSED, None, "refused with another code"),
    *(
        Reason(Outcome.FAILED, code, words)
        for code, words in sorted(FAILURES.items(), reverse=True)
    ),
    Reason(Outcome.FAILED, None, "failed with another code"),
)
BY_KEY = {reason.key: reason for reason in REASONS}


def _calls(reason: Reason) -> Any:
    """Return the field of an hour's sums that counts a reason, or what is left of its kind."""
    kind = reason.outcome.value.lower()
    if reason.code:
        return F(f"{kind}_{reason.code}_calls")
    rest: Any = F(f"{kind}_calls")
    for each in REASONS:
        if each.outcome == reason.outcome and each.code:
            rest = rest - F(f"{kind}_{each.code}_calls")
    return rest


_SUMS = {f"because_{reason.key}": Sum(_calls(reason)) for reason in REASONS}
Counts = dict[Reason, int]


@dataclass(frozen=True)
class Asked:
    """The hours [start, end), whole ones, and whose calls: of a team, of a model; None: any."""

    start: datetime
    end: datetime
    team: str | None = None
    model: str | None = None

    @property
    def hours(self) -> QuerySet[HourlyUsage]:
        """Return the hourly sums in which some call got no answer."""
        rows = HourlyUsage.objects.filter(hour__gte=self.start, hour__lt=self.end)
        rows = rows.filter(Q(refused_calls__gt=0) | Q(failed_calls__gt=0)).order_by()
        if self.team is not None:
            rows = rows.filter(team=self.team)
        return rows if self.model is None else rows.filter(model=self.model)


@dataclass(frozen=True)
class Line:
    """How many calls of a team to a model got no answer for one reason. team, model: "" where the
    calls name none.
    """

    team: str
    model: str
    reason: Reason
    calls: int


def over_time(asked: Asked, step: timedelta) -> dict[datetime, Counts]:
    """Return when an hour or a day began → reason → calls; one query. Steps without such calls, and
    reasons without, are not there. step: HOUR or DAY.
    """
    if step not in (HOUR, DAY):
        raise ValueError(f"no step of {step}")
    begin = (TruncHour if step == HOUR else TruncDay)("hour", tzinfo=ZONE)
    rows = asked.hours.values(at=begin).annotate(**_SUMS)
    return {row["at"]: _counts(row) for row in rows}


def lines(asked: Asked) -> list[Line]:
    """Return who got no answer from what, and why, the most calls first; one query."""
    rows = asked.hours.values("team", "model").annotate(**_SUMS)
    found = [
        Line(row["team"], row["model"], reason, calls)
        for row in rows
        for reason, calls in _counts(row).items()
    ]
    return sorted(found, key=lambda line: (-line.calls, line.team, line.model, line.reason.key))


def _counts(row: Mapping[str, Any]) -> Counts:
    found = {reason: row[f"because_{reason.key}"] for reason in REASONS}
    return {reason: calls for reason, calls in found.items() if calls}
