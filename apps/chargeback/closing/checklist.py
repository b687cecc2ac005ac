"""What must be true before a month is closed, and what may be accepted with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse

from apps.chargeback import costs
from apps.chargeback import queries as money
from apps.chargeback.bills.manifest import export_from_settings
from apps.chargeback.bills.queries import Reading, reading
from apps.chargeback.closing import queries
from apps.chargeback.inputs import due_days
from apps.chargeback.models import PriceChange
from apps.chargeback.reconciliation import compare
from apps.chargeback.reconciliation.bill import compare as bill
from apps.chargeback.reconciliation.bill.queries import rows as bill_rows
from apps.chargeback.reconciliation.queries import days as reconciled_days
from apps.chargeback.reconciliation.spend import compare as spend
from apps.chargeback.reconciliation.spend.queries import days as spent_days
from apps.common.counts import counted, sentence
from apps.common.money import usd
from apps.common.periods import month_bounds, next_month
from apps.metering import store

GRACE = timedelta(hours=1)  # after its end a month still gets calls that were under way
OK, OPEN, ACCEPTED = "ok", "open", "accepted"
UNCHECKED = "unchecked"  # nobody can tell; it stops nothing, and is never called done


@dataclass(frozen=True)
class Check:
    """One line of the checklist. state: ok, open, accepted with a reason, or unchecked. may_accept:
    an open one does not stop the close once somebody says why. url: where it is mended.
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
        _spend(start, end),
        bill_check(reading(month, export_from_settings()), now),
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


def _spend(start: datetime, end: datetime) -> Check:
    found = spend.summary(spent_days(start, end))
    days = counted(found.unexplained_days, "day of a model", "days of models")
    problem = (
        f"{usd(found.unexplained_usd)} on {days} is unexplained." if found.unexplained_days else ""
    )
    return _check(
        "SPEND",
        "The price list's ledger is that of its hours",
        problem,
        f"{counted(found.days, 'day of a model agrees', 'days of models agree')}."
        if found.days
        else "Nobody used a model.",
        url=f"{reverse('chargeback:spend_reconciliation')}?month={start:%Y-%m}",
        may_accept=True,
    )


def bill_check(known: Reading, now: datetime) -> Check:
    """Return the line about the month's bill. A month without one is never called done: it stops
    the close where the setting CLOSE_NEEDS_BILL says so, and is told in words where it does not.
    """
    title = "The cloud's bill is explained"
    url = f"{reverse('chargeback:bill_reconciliation')}?month={known.month:%Y-%m}"
    if known.bill is None:
        policy = settings.CLOSE_NEEDS_BILL
        stops = policy == "always" or (policy == "configured" and known.is_configured)
        words = f"{known.words} {known.problem}".strip()
        state = OPEN if stops else UNCHECKED
        return Check("BILL", title, state, words, url=url, may_accept=True)
    problem = _bill_problem(known, bill.summary(bill_rows(known, now)))
    return _check(
        "BILL",
        title,
        problem,
        f"{known.words} Nothing of it is unexplained.",
        url=url,
        may_accept=True,
    )


def _bill_problem(known: Reading, found: bill.Summary) -> str:
    parts = [known.problem] if known.problem else []
    if found.unexplained_usd:
        days = counted(found.unexplained_days, "day", "days")
        parts.append(f"{usd(found.unexplained_usd)} on {days} is unexplained.")
    parts += [f"{usd(abs(amount))}: {name.label.lower()}." for name, amount in found.asks.items()]
    if known.bill is not None and not known.bill.is_final:
        parts.append("AWS has not issued the invoice: the bill is an estimate.")
    return " ".join(parts)


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
        parts.append(counted(hours, "hour is", "hours are") + " still being added up")
    if days:
        parts.append(counted(days, "day is", "days are") + " not priced yet")
    problem = f"{sentence(parts)} The workers do this within a minute." if parts else ""
    url = f"{reverse('chargeback:month')}?month={start:%Y-%m}"
    fine = "Every hour is added up and priced."
    return _check("USAGE", "Usage is complete", problem, fine, url=url)


def _quarantine(start: datetime, end: datetime) -> Check:
    waiting = store.in_quarantine(start, end)
    problem = (
        f"{counted(waiting, 'record waits', 'records wait')} to be counted." if waiting else ""
    )
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
        parts.append(counted(waiting, "change of prices waits", "changes of prices wait"))
    problem = sentence(parts)
    url = reverse("chargeback:rate_list")
    fine = "Everything that was used in the month has a published price."
    return _check("PRICES", "Prices are published", problem, fine, url=url)


def _machines(month: date, now: datetime) -> Check:
    start, end = month_bounds(month)
    seconds = costs.known(start=start, end=end).unpriced_seconds
    due = [day for day in due_days(now) if day.replace(day=1) == month]
    parts = []
    if due:
        parts.append(counted(len(due), "day is", "days are") + " not shared out yet")
    if seconds:
        parts.append(f"{seconds / 3600:,.2f} machine hours have no price")
    problem = sentence(parts)
    fine = "Every machine hour has a price and is shared out."
    url = f"{reverse('chargeback:month')}?month={month:%Y-%m}"
    return _check("MACHINES", "Machines are priced and shared out", problem, fine, url=url)


def _reconciliation(month: date) -> Check:
    found = compare.summary(reconciled_days(*month_bounds(month)))
    parts = []
    if found.unexplained_days:
        days = counted(found.unexplained_days, "day of a version", "days of versions")
        parts.append(f"{found.unexplained_tokens:,} tokens on {days} are unexplained")
    if found.unknown_days:
        days = counted(found.unknown_days, "day of a version", "days of versions")
        parts.append(f"on {days} no engine was watched")
    problem = sentence(parts)
    return _check(
        "RECONCILIATION",
        "Engines and gateway agree",
        problem,
        f"{counted(found.days, 'day of a version agrees', 'days of versions agree')}."
        if found.days
        else "No version was called, and no engine counted anything.",
        url=f"{reverse('chargeback:reconciliation')}?month={month:%Y-%m}",
        may_accept=True,
    )
