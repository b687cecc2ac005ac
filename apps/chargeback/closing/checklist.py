"""What must be true before a month is closed, and what may be accepted with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.urls import reverse

from apps.chargeback import costs
from apps.chargeback import queries as money
from apps.chargeback.closing import queries
from apps.chargeback.inputs import due_days
from apps.chargeback.models import PriceChange
from apps.chargeback.reconciliation import compare
from apps.chargeback.reconciliation.queries import days as reconciled_days
from apps.common.periods import month_bounds, next_month
from apps.metering import store

GRACE = timedelta(hours=1)  # after its end a month still gets calls that were under way
OK, OPEN, ACCEPTED = "ok", "open", "accepted"


@dataclass(frozen=True)
class Check:
    """One line of the checklist. state: ok, open, or accepted with a reason. may_accept: an open
    one does not stop the close once somebody says why. url: where it is mended.
    """

    key: str
    title: str
    state: str
    words: str
    url: str = ""
    may_accept: bool = False
    accepted: str = ""

    @property
    def stops(self) -> bool:
        """Tell whether the month cannot be closed because of it."""
        return self.state == OPEN

    def plain(self) -> dict[str, Any]:
        """Return it as it is kept with the close."""
        return {
            "key": self.key,
            "title": self.title,
            "state": self.state,
            "words": self.words,
            "accepted": self.accepted,
        }


def checks(month: date, now: datetime) -> list[Check]:
    """Return the checklist of a month as it is now."""
    start, end = month_bounds(month)
    return [
        _over(month, now),
        _in_order(month),
        _usage(start, end),
        _quarantine(start, end),
        _prices(month),
        _machines(month, now),
        _reconciliation(month),
    ]


def with_reasons(found: list[Check], reasons: Mapping[str, str]) -> list[Check]:
    """Return the checklist with what somebody accepts. reasons: key → why; others are ignored."""
    return [
        replace(check, state=ACCEPTED, accepted=reasons[check.key].strip())
        if check.stops and check.may_accept and reasons.get(check.key, "").strip()
        else check
        for check in found
    ]


def _check(key: str, title: str, problem: str, fine: str, **more: Any) -> Check:
    return Check(key, title, OPEN if problem else OK, problem or fine, **more)


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _over(month: date, now: datetime) -> Check:
    ends = month_bounds(month)[1]
    opens = ends + GRACE
    problem = f"It can be closed from {opens:%d %b %Y %H:%M} UTC on." if now < opens else ""
    fine = f"It ended at {ends:%d %b %Y %H:%M} UTC."
    return _check("OVER", "The month is over", problem, fine)


def _in_order(month: date) -> Check:
    last = queries.last_closed()
    problem = ""
    if last is not None and month != next_month(last):
        problem = (
            f"{month:%B %Y} is closed already."
            if month <= last
            else f"{next_month(last):%B %Y} comes first: months are closed in their order."
        )
    fine = f"{last:%B %Y} was closed before it." if last else "It is the first month to be closed."
    return _check("ORDER", "The months before are closed", problem, fine)


def _usage(start: datetime, end: datetime) -> Check:
    hours, days = store.hours_waiting(start, end), money.days_waiting(start, end)
    parts = []
    if hours:
        parts.append(_count(hours, "hour is", "hours are") + " still being added up")
    if days:
        parts.append(_count(days, "day is", "days are") + " not priced yet")
    problem = f"{'; '.join(parts)}. The workers do this within a minute." if parts else ""
    url = f"{reverse('chargeback:month')}?month={start:%Y-%m}"
    fine = "Every hour is added up and priced."
    return _check("USAGE", "Usage is complete", problem, fine, url=url)


def _quarantine(start: datetime, end: datetime) -> Check:
    waiting = store.in_quarantine(start, end)
    problem = f"{_count(waiting, 'record waits', 'records wait')} to be counted." if waiting else ""
    url = f"{reverse('metering:quarantine_list')}?status=WAITING"
    fine = "Nothing of the month waits in quarantine."
    return _check("QUARANTINE", "Quarantine is empty", problem, fine, url=url, may_accept=True)


def _prices(month: date) -> Check:
    unpriced = money.month_totals(month=month, scope=money.EVERYTHING).unpriced_words
    pending = PriceChange.objects.pending().filter(active_from__lt=month_bounds(month)[1])
    parts = []
    if unpriced:
        parts.append(unpriced)
    if waiting := pending.count():
        parts.append(_count(waiting, "change of prices waits", "changes of prices wait"))
    problem = f"{'; '.join(parts)}." if parts else ""
    url = reverse("chargeback:rate_list")
    fine = "Everything that was used in the month has a published price."
    return _check("PRICES", "Prices are published", problem, fine, url=url)


def _machines(month: date, now: datetime) -> Check:
    start, end = month_bounds(month)
    seconds = costs.known(start=start, end=end).unpriced_seconds
    due = [day for day in due_days(now) if day.replace(day=1) == month]
    parts = []
    if due:
        parts.append(_count(len(due), "day is", "days are") + " not shared out yet")
    if seconds:
        parts.append(f"{seconds / 3600:,.2f} machine hours have no price")
    problem = f"{'; '.join(parts)}." if parts else ""
    fine = "Every machine hour has a price and is shared out."
    url = f"{reverse('chargeback:month')}?month={month:%Y-%m}"
    return _check("MACHINES", "Machines are priced and shared out", problem, fine, url=url)


def _reconciliation(month: date) -> Check:
    found = compare.summary(reconciled_days(*month_bounds(month)))
    parts = []
    if found.unexplained_days:
        days = _count(found.unexplained_days, "day of a version", "days of versions")
        parts.append(f"{found.unexplained_tokens:,} tokens on {days} are unexplained")
    if found.unknown_days:
        days = _count(found.unknown_days, "day of a version", "days of versions")
        parts.append(f"on {days} no engine was watched")
    problem = f"{'; '.join(parts)}." if parts else ""
    return _check(
        "RECONCILIATION",
        "Engines and gateway agree",
        problem,
        f"{_count(found.days, 'day of a version agrees', 'days of versions agree')}."
        if found.days
        else "No version was called, and no engine counted anything.",
        url=f"{reverse('chargeback:reconciliation')}?month={month:%Y-%m}",
        may_accept=True,
    )
