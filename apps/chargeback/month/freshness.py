"""How complete a month's figures are, and by which prices: of the month shown, not of the clock."""

from datetime import datetime
from urllib.parse import urlencode

from django.db.models import Count, Max, Q
from django.template.defaultfilters import pluralize
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.chargeback import queries
from apps.chargeback.models import Rate
from apps.common.periods import ZONE, day_words
from apps.metering import sealing, store
from apps.metering.quarantine.models import QuarantinedRecord


def metered_words(start: datetime, end: datetime, moment: datetime) -> str:
    """Return how complete the month [start, end) is at a moment."""
    if moment < start:
        return "has not begun"
    waiting = store.hours_waiting(start, end)
    unpriced = queries.days_waiting(start, end)
    open_hours = f"{waiting} hour{pluralize(waiting)} still being added up" if waiting else ""
    open_days = f"{unpriced} day{pluralize(unpriced)} still being priced" if unpriced else ""
    still = " · ".join(filter(None, (open_hours, open_days)))
    sealed = sealing.words(start, end)
    if moment >= end:
        whole = still or "complete: every hour is added up and priced"
        return " · ".join(filter(None, (whole, sealed)))
    latest = store.latest_call_at(start=start, end=end)
    until = f"metered until {latest:%H:%M:%S} UTC on {day_words(latest)}" if latest else ""
    return " · ".join(filter(None, (until or "no call metered yet this month", sealed, still)))


def prices_words(start: datetime, end: datetime, moment: datetime) -> str:
    """Return of when the newest price is that was in force in [start, end), up to a moment; one
    query.
    """
    lasts = Q(active_to__isnull=True) | Q(active_to__gt=start)
    found = (
        Rate.objects.current()
        .filter(lasts, active_from__lt=min(end, moment))
        .aggregate(
            newest=Max("active_from"),
            changes=Count("change", filter=Q(active_from__gte=start), distinct=True),
        )
    )
    if found["newest"] is None:
        return "no price in force"
    words = f"prices of {day_words(found['newest'].astimezone(ZONE))}"
    changes = found["changes"]
    return f"{words}, {changes} change{pluralize(changes)} in the month" if changes else words


def quarantine_count(start: datetime, end: datetime, scope: queries.Scope) -> int:
    """Return how many records of a month were received and are in no total; one query."""
    return store.in_quarantine(start, end, team=scope.team)


def quarantine_url(start: datetime, user: User) -> str:
    """Return where they are listed; "" for those who cannot open the list."""
    if not user.has_role(*SEES_EVERY_TEAM):
        return ""
    days = {"since": start.date(), "status": QuarantinedRecord.Status.WAITING}
    return f"{reverse('metering:quarantine_list')}?{urlencode(days)}"
