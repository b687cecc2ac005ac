"""Who still calls a model that goes: listed, told, and waited for.

A model is retired by itself once its last day is over and its newest sealed week holds no call of
it. Only sealed hours speak: an hour that is still to be added up may hold a call, so while nothing
is sealed nothing is retired.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db.models import F, Max, Q, Sum
from django.urls import reverse

from apps.access.models import Grant
from apps.accounts.models import Team, User
from apps.accounts.people import holders
from apps.accounts.roles import OWNS_MODELS, USES_MODELS
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.actions import CannotRetire, carry_out
from apps.catalog.retirement.models import Retirement, stays_instead
from apps.common.periods import DAY, HOUR, day_words
from apps.metering.models import HourlyUsage
from apps.metering.quarantine.models import QuarantinedRecord
from apps.metering.sealing import sealed_until
from apps.notices.models import Kind
from apps.notices.news import News, tell_waiting

LOOKED_AT = 30 * DAY  # for who calls a model
QUIET = 7 * DAY  # without a call before a model goes by itself
DAYS_BEFORE = (1, 7, 30)
PREFIX, WAITS = "model-retires", "model-still-called"
ANSWERED = F("metered_calls") + F("unmetered_calls")
OTHERS = F("refused_calls") + F("failed_calls")


@dataclass(frozen=True)
class Caller:
    """A team that called a model. team: its slug, "" where the calls named none. answered: calls
    that reached a version; others: refused or failed. last_at: the hour of the newest call.
    """

    team: str
    answered: int
    others: int
    last_at: datetime

    @property
    def words(self) -> str:
        """Return the team as people read it."""
        return self.team or "no team named"

    def as_data(self) -> dict[str, object]:
        """Return it as the record and a retirement keep it."""
        return asdict(self) | {"last_at": self.last_at.isoformat()}


def callers(model: RegisteredModel, *, since: datetime, until: datetime) -> list[Caller]:
    """Return who called a model in the hours of [since, until), the busiest first; one query."""
    rows = HourlyUsage.objects.filter(model=model.name, hour__gte=since, hour__lt=until)
    found = (
        rows.order_by()
        .values_list("team")
        .annotate(answered=Sum(ANSWERED), others=Sum(OTHERS), last_at=Max("hour"))
    )
    listed = [Caller(*row) for row in found]
    return sorted(listed, key=lambda one: (-one.answered, -one.others, one.team))


def recent_callers(model: RegisteredModel, now: datetime) -> list[Caller]:
    """Return who called a model in the last thirty days; one query."""
    return callers(model, since=now - LOOKED_AT, until=now + HOUR)


def retire_due(*, now: datetime) -> int:
    """Retire the models whose last day is over and that nobody calls; return how many."""
    until = sealed_until()
    if until is None:
        return 0
    return sum(_retire(retirement, until, now) for retirement in _overdue(now))


def _retire(retirement: Retirement, until: datetime, now: datetime) -> int:
    since = until - QUIET
    if until < retirement.ends_at or _is_called(retirement.registered_model, since):
        return 0
    try:
        carry_out(retirement=retirement, since=since, until=until, now=now)
    except CannotRetire:  # somebody ended it meanwhile
        return 0
    return 1


def _is_called(model: RegisteredModel, since: datetime) -> bool:
    """Tell whether any hour from `since` on has a call, those that are not sealed yet included, and
    those in quarantine: what is in doubt about them is seldom that somebody called.
    """
    doubted = QuarantinedRecord.objects.filter(
        Q(occurred_at__gte=since) | Q(occurred_at=None, received_at__gte=since),
        status=QuarantinedRecord.Status.WAITING,
        model=model.name,
    )
    counted = HourlyUsage.objects.filter(model=model.name, hour__gte=since)
    return counted.exists() or doubted.exists()


def _overdue(now: datetime) -> list[Retirement]:
    rows = Retirement.objects.announced().select_related(
        "registered_model__owner_team", "successor"
    )
    return [row for row in rows if row.is_overdue(now)]


# -- Telling ---------------------------------------------------------------------------------------


def tell(*, now: datetime) -> int:
    """Tell the teams that call a model, or may, that it goes: when that is announced, and 30, 7 and
    1 days before. Tell its owners when it should be gone and is still called. Returns how many
    notices are new.
    """
    coming = list(
        Retirement.objects.announced().select_related("registered_model__owner_team", "successor")
    )
    told = tell_waiting(PREFIX, _goes(coming, now), now=now)
    return told + tell_waiting(WAITS, _still_called(coming, now), now=now)


def _goes(coming: list[Retirement], now: datetime) -> Iterator[News]:
    for row in coming:
        model, stays = row.registered_model, stays_instead(row)
        instead = f": call {stays}" if stays else ""
        yield News(
            key=f"{PREFIX}:{row.pk}:{row.last_day}:{_days_told(row, now)}",
            kind=Kind.GRANT,
            title=f"{model} retires on {day_words(row.last_day)}{instead}",
            path=reverse("catalog:model_detail", args=[model.name]),
            people=partial(_people, model, now),
            urgent=row.ends_at <= now + DAY,
        )


def _days_told(row: Retirement, now: datetime) -> int | str:
    """Return for how many days before its end a retirement is told of now."""
    for days in DAYS_BEFORE:
        if row.ends_at <= now + timedelta(days=days):
            return days
    return "announced"


def _people(model: RegisteredModel, now: datetime) -> list[User]:
    """Return whoever works with a model in the teams that called it or have a grant for it."""
    called = {caller.team for caller in recent_callers(model, now)}
    granted = Grant.objects.active(now).filter(registered_model=model)
    teams = Team.objects.filter(slug__in=called) | Team.objects.filter(
        pk__in=granted.values("team")
    )
    return [person for team in teams.distinct() for person in holders(*USES_MODELS, team=team)]


def _still_called(coming: list[Retirement], now: datetime) -> Iterator[News]:
    for row in coming:
        model = row.registered_model
        if row.is_overdue(now) and _is_called(model, now - QUIET):
            yield News(
                key=f"{WAITS}:{row.pk}:{row.last_day}",
                kind=Kind.REVIEW,
                title=f"{model} was to go on {day_words(row.last_day)}, and is still called",
                path=reverse("catalog:model_retirement", args=[model.name]),
                people=partial(holders, *OWNS_MODELS, team=model.owner_team),
                urgent=True,
            )
