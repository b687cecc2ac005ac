"""A model's tab Usage: who calls it, and what that comes to. Teams, never persons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import RegisteredModel
from apps.catalog.pages import crumbs
from apps.chargeback import costs
from apps.chargeback.model_use import Amounts, ModelUse, money_of, tokens_by_team
from apps.chargeback.month.words import Stat
from apps.chargeback.queries import Scope, scope_of
from apps.common.charts import TOKENS, USD, Chart, LineChart, Series, StackChart
from apps.common.errors import NotPermitted
from apps.common.periods import DAY, day_of, start_of_day
from apps.common.simulated import MARK, Simulated
from apps.common.tables.columns import Column
from apps.common.tables.reading import respond
from apps.metering import queries, store, tables
from apps.metering.queries import ModelLine
from apps.promotions import serving

DAYS = 30
NOT_KNOWN = "not known"


@require_GET
def model_usage(request: SignedIn, name: str) -> HttpResponseBase:
    """Show who used a model in the last thirty days, today included: every team to its owner, one's
    own team to others; the same lines as CSV. Money is shown to those who may see it, on both
    bases.
    """
    models = RegisteredModel.objects.visible_to(request.user).select_related("owner_team")
    model = get_object_or_404(models, name=name)
    moment = now()
    last = day_of(moment) + DAY
    first = last - DAYS * DAY
    sees_all = request.user.has_role(*SEES_EVERY_TEAM) or model.is_owned_by(request.user)
    own = None if sees_all else request.user.team.slug if request.user.team else ""
    lines = queries.model_lines(model=name, team=own, since=start_of_day(first))
    scope = _scope(request.user)
    money = money_of(name, first, last, scope) if scope is not None else None
    # The lines of other teams have no money beside them for those who see their own alone.
    is_of_lines = scope is not None and (scope.team is None or own is not None)
    rows: Sequence[ModelLine] = lines
    if money is not None and is_of_lines:
        rows = [_paid(line, money) for line in lines]
    known = costs.known(start=start_of_day(first), end=start_of_day(last))
    context = {
        "model": model,
        "crumbs": crumbs(model, "Usage"),
        "serving": serving.of_model(model, moment),
        "simulated": Simulated(
            engine=any(line.simulated for line in lines),
            prices=money is not None and known.has_simulated_prices,
        ),
        "sees_all": sees_all,
        "latest": store.latest_call_at(),
        "stats": _stats(money, scope) if money is not None and scope is not None else [],
        "whose_money": _whose(scope, sees_all=sees_all),
        "tokens": _tokens(tokens_by_team(name, first, last, _tokens_of(lines)), first),
        "cost": _cost(money, first, known.has_simulated_prices) if money is not None else None,
    }
    table = tables.model_table(name, MONEY if rows is not lines else ())
    return respond(table, request, rows, "metering/model_usage.html", context)


def _scope(user: User) -> Scope | None:
    """Return whose money a person may see; None where it is nobody's."""
    try:
        return scope_of(user)
    except NotPermitted:
        return None


def _whose(scope: Scope | None, *, sees_all: bool) -> str:
    """Return whose money stands on the page, where it is not that of all whose calls do."""
    if scope is None:
        return ""
    return f"Of your team {scope.team} alone." if scope.team is not None and sees_all else ""


@dataclass(frozen=True)
class PaidLine(ModelLine):
    """A line of usage with what it comes to."""

    list_usd: Decimal | None
    real_usd: Decimal | None


MONEY = (
    Column("list_usd", "Price list (USD)", kind="money", sort="list_usd", total="list_usd",
           csv_head="list_usd", unknown="no price"),
    Column("real_usd", "Real cost (USD)", kind="money", sort="real_usd", total="real_usd",
           csv_head="real_usd", unknown=NOT_KNOWN),
)  # fmt: skip


def _paid(line: ModelLine, money: ModelUse) -> PaidLine:
    """Return a line with its money: 0 where no call reached a model."""
    nothing = None if line.metered_calls or line.unmetered_calls else Decimal(0)
    found = money.lines.get((line.team, line.version)) or Amounts(real_usd=nothing)
    return PaidLine(**vars(line), list_usd=found.list_usd, real_usd=found.real_usd)


def _stats(money: ModelUse, scope: Scope) -> list[Stat]:
    total = money.total
    real = "idling and starting included" if scope.team is None else "what the team's work took"
    margin = "price list − real cost" if total.margin_usd is not None else "some has no price"
    return [
        _stat("Price list", total.list_usd, "no price", is_key=True),
        _stat("Real cost", total.real_usd, NOT_KNOWN, note=real),
        _stat("Margin", total.margin_usd, NOT_KNOWN, note=margin),
        Stat("GPU-hours", figure=f"{total.gpu_hours:,.1f}"),
    ]


def _stat(
    label: str, amount: Decimal | None, unknown: str, *, note: str = "", is_key: bool = False
) -> Stat:
    figure = unknown if amount is None else ""
    return Stat(label, figure=figure, amount_usd=amount, note=note, is_key=is_key)


def _tokens_of(lines: Sequence[ModelLine]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        found[line.team] = found.get(line.team, 0) + line.input_tokens + line.output_tokens
    return found


def _at(first: date) -> list[date]:
    return [first + place * timedelta(days=1) for place in range(DAYS)]


def _tokens(found: dict[str, dict[date, int]], first: date) -> Chart:
    at = _at(first)
    return StackChart(
        name="model-tokens", title="Tokens by day and team", unit=TOKENS, shape="bars", at=at,
        series=[Series(team, [days.get(day, 0) for day in at]) for team, days in found.items()],
    )  # fmt: skip


def _cost(money: ModelUse, first: date, is_simulated: bool) -> Chart:
    at = _at(first)
    listed = [money.days[day].list_usd if day in money.days else Decimal(0) for day in at]
    real = [money.days[day].real_usd if day in money.days else None for day in at]
    return LineChart(
        name="model-cost", title="Cost by day", unit=USD, at=at, note=MARK if is_simulated else "",
        series=[Series("Price list", listed), Series("Real cost", real)],
    )  # fmt: skip
