"""The figures of the home page: the team's month, what it may call, and the models that the person
looks after.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.access.budgets.queries import of_grants
from apps.access.models import Grant
from apps.accounts.models import User
from apps.accounts.roles import SEES_ALL_MONEY, SEES_EVERY_MODEL, USES_MODELS
from apps.catalog.models import RegisteredModel
from apps.chargeback import queries
from apps.chargeback.budgets.limits import Balance
from apps.chargeback.budgets.queries import balances
from apps.chargeback.budgets.words import Meter, meter
from apps.chargeback.forecast import LOOKED_BACK, Forecast, forecast
from apps.common.periods import day_of, month_bounds, month_of, start_of_day
from apps.common.simulated import Simulated
from apps.fleet.simulated import stand_in_versions
from apps.promotions import serving
from apps.promotions.serving import ServingState
from apps.slo import queries as objectives
from apps.slo.queries import Line

SHOWN = 12


@dataclass(frozen=True)
class ModelLine:
    """A model that the person looks after: what its callers meet, and the objective of it that
    stands worst; None where it has none.
    """

    model: RegisteredModel
    serving: ServingState
    objective: Line | None


@dataclass(frozen=True)
class GrantLine:
    """A model the team may call, and its budget's month; None where it has no budget."""

    grant: Grant
    meter: Meter | None


@dataclass(frozen=True)
class TeamMonth:
    """A team's month so far, or everybody's. budget_usd: what its budgets for models allow
    together; None where one of them has none. forecast: None in a month's first day.
    """

    name: str
    is_team: bool
    month: queries.Totals
    today: queries.Totals
    budget_usd: Decimal | None
    forecast: Forecast | None
    grants: list[GrantLine]
    simulated: Simulated

    @property
    def tokens_today(self) -> int:
        """Return today's tokens (UTC), both ways."""
        return self.today.input_tokens + self.today.output_tokens

    @property
    def tokens_month(self) -> int:
        """Return the month's tokens, both ways."""
        return self.month.input_tokens + self.month.output_tokens

    @property
    def refused_today(self) -> int:
        """Return the calls that the gateway refused today."""
        return self.today.refused_calls


def team_month(user: User, now: datetime) -> TeamMonth | None:
    """Return everybody's month for those who oversee the money, else the team's where it uses
    models; eight queries at most.
    """
    oversees = user.has_role(*SEES_ALL_MONEY)
    if user.team is None or not (oversees or user.has_role(*USES_MODELS)):
        return None
    scope = queries.Scope(team=None if oversees else user.team.slug)
    start, end = month_bounds(month_of(now))
    since = min(start, start_of_day(day_of(now)) - LOOKED_BACK)
    lines = queries.lines(start=start, end=end, scope=scope)
    days = queries.day_totals(start=since, end=end, scope=scope)
    grants = Grant.objects.active(now).select_related("registered_model", "team")
    grants = grants.none() if oversees else grants.filter(team=user.team)
    budgets, grant_lines = _grant_lines(list(grants.order_by("registered_model__name")), now)
    month = queries.totals(lines)
    return TeamMonth(
        name="All teams" if oversees else user.team.name,
        is_team=not oversees,
        month=month,
        today=days.get(day_of(now), queries.totals([])),
        budget_usd=sum((left.limit for left in budgets), Decimal(0))
        if len(budgets) == len(grant_lines)
        else None,
        forecast=forecast({day: found.list_cost_usd for day, found in days.items()}, now),
        grants=grant_lines,
        simulated=Simulated(engine=bool(stand_in_versions({line.version for line in lines}))),
    )


def _grant_lines(grants: list[Grant], now: datetime) -> tuple[list[Balance], list[GrantLine]]:
    """Return the budgets of a team's grants, and a line for each grant."""
    budgets = of_grants(grants, now)
    left = balances(budgets.values(), now)
    meters = {grant: meter(left[budget.pk]) for grant, budget in budgets.items()}
    return list(left.values()), [GrantLine(grant, meters.get(grant.pk)) for grant in grants]


def models_of(user: User, now: datetime) -> list[ModelLine]:
    """Return the models the person looks after, with what their callers meet and count on: their
    team's, or all for those who oversee. Five queries, four more where a version sleeps.
    """
    models = RegisteredModel.objects.visible_to(user).select_related("owner_team")
    if not user.has_role(*SEES_EVERY_MODEL):
        models = models.filter(owner_team=user.team_id)
    found = list(models[:SHOWN])
    states = serving.states(found, now)
    promised = objectives.of_models(found, now)
    return [
        ModelLine(model, states[model.pk], next(iter(promised.get(model.pk, ())), None))
        for model in found
    ]
