"""The lists of budgets and boosts as tables. Declarations only."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import django_filters

from apps.access.budgets.models import Boost, Mode, Unit, in_unit
from apps.accounts.asked import Asked
from apps.chargeback.budgets import words
from apps.chargeback.budgets.queries import Standing
from apps.common.badges import Badge
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table
from apps.common.zones import ZONES

KINDS = {
    "COST_CENTER": "Cost center",
    "TEAM": "Team",
    "TEAM_AND_MODEL": "Team and model",
}
STATES = {"ok": "Within budget", "warn": "Threshold reached", "bad": "Spent"}
ASKED = {
    Asked.Status.PENDING: Badge("warn", "clock", "Waiting for a decision"),
    Asked.Status.APPROVED: Badge("ok", "", "Approved"),
    Asked.Status.REJECTED: Badge("bad", "", "Rejected"),
    Asked.Status.WITHDRAWN: Badge("idle", "", "Withdrawn"),
}


@dataclass(frozen=True)
class BudgetLine:
    """A budget in force, and its month."""

    standing: Standing

    @property
    def scope(self) -> str:
        """Return what it is for."""
        return self.standing.budget.scope

    @property
    def kind(self) -> str:
        """Return which kind of scope that is, one of KINDS."""
        budget = self.standing.budget
        if budget.cost_center_id:
            return "COST_CENTER"
        return "TEAM_AND_MODEL" if budget.registered_model_id else "TEAM"

    @property
    def url(self) -> str:
        """Return the budget's page."""
        return self.standing.budget.get_absolute_url()

    @property
    def meter(self) -> words.Meter:
        """Return the bar of its month."""
        found = self.standing.outlook
        return words.meter(self.standing.balance, found.high if found else None)

    @property
    def state(self) -> Badge:
        """Return how its month stands."""
        return words.state_badge(self.standing)

    @property
    def tone(self) -> str:
        """Return the same in one word, for the filter."""
        return self.state.tone

    @property
    def earliest(self) -> date | None:
        """Return the first day on which it may run out."""
        return words.run_out_days(self.standing)[0]

    @property
    def high(self) -> Decimal | None:
        """Return the most that the month comes to."""
        return self.standing.outlook.high if self.standing.outlook else None

    def words_of(self, amount: Decimal) -> str:
        """Return an amount in the budget's unit."""
        return in_unit(amount, self.standing.budget.unit)


class BudgetFilters(Filters):
    """For the page of budgets, whose rows are BudgetLine."""

    kind = django_filters.ChoiceFilter(
        field_name="kind", label="For", choices=list(KINDS.items()), empty_label="Anything"
    )
    unit = django_filters.ChoiceFilter(
        field_name="standing.budget.unit",
        label="Unit",
        choices=Unit.choices,
        empty_label="Any unit",
    )
    mode = django_filters.ChoiceFilter(
        field_name="standing.budget.mode",
        label="When spent",
        choices=Mode.choices,
        empty_label="Anything",
    )
    state = django_filters.ChoiceFilter(
        field_name="tone", label="State", choices=list(STATES.items()), empty_label="Any state"
    )


def _amount(key: str, label: str, path: str, **more: object) -> Column:
    """Return the column of an amount, which stands in the unit of each row's budget."""

    def value(line: BudgetLine) -> Decimal:
        return getattr(line.standing.balance, path)  # type: ignore[no-any-return]

    return Column(
        key,
        label,
        lambda line: line.words_of(value(line)),
        sort=f"standing.balance.{path}",
        csv=f"standing.balance.{path}",
        css="num nowrap",
        **more,  # type: ignore[arg-type]
    )


BUDGETS = Table(
    name="budgets",
    noun=("budget", "budgets"),
    columns=(
        Column("scope", "Budget of", sort="scope", url=lambda line: line.url, place="name"),
        Column("state", "State", "state", kind="badge", sort="standing.balance.percent"),
        Column("meter", "This month", "meter", sort="standing.balance.percent",
               template="chargeback/budgets/_bar.html", csv="standing.balance.percent",
               csv_head="Used (%)"),
        _amount("left", "Left", "available", place="figure"),
        _amount("used", "Used", "used"),
        _amount("limit", "Limit", "limit"),
        Column("month_comes_to", "Month comes to", lambda line: words.outlook_words(line.standing),
               sort="high", optional=True),
        Column("runs_out", "Runs out", lambda line: words.run_out_words(line.standing),
               sort="earliest"),
        Column("mode", "When spent", lambda line: words.MODES[Mode(line.standing.budget.mode)],
               kind="badge", sort="standing.budget.mode", csv="standing.budget.mode"),
        Column("unit", "Unit", "standing.budget.unit", sort="standing.budget.unit", optional=True,
               at_first=False),
        Column("zone", "Months of", lambda line: ZONES[line.standing.budget.zone],
               sort="standing.budget.zone", optional=True, at_first=False),
        Column("ends", "Ends", "standing.budget.active_to", kind="time",
               sort="standing.budget.active_to", unknown="open", optional=True, at_first=False),
    ),
    search=("scope",),
    search_words="Cost center, team or model",
    filters=BudgetFilters,
    order="-state",
    empty=Empty(
        "No budgets yet",
        "A grant brings its team's monthly budget for the model. Finance sets those of teams and "
        "cost centers.",
        icon="wallet",
    ),
)  # fmt: skip


def boosts_table(at: datetime) -> Table:
    """Return the table of a budget's boosts, as they stand at a moment."""
    return Table(
        name="boosts",
        noun=("boost", "boosts"),
        columns=(
            Column("amount", "Adds", lambda boost: in_unit(boost.amount, boost.budget.unit),
                   sort="amount", csv="amount", css="num nowrap", url=Boost.get_absolute_url,
                   place="name"),
            Column("state", "State", lambda boost: asked_badge(boost, at), kind="badge",
                   sort="status", place="figure"),
            Column("last_day", "Last day", kind="date", sort="ends_at", css="nowrap"),
            Column("why", "Why", "justification", css="wide"),
            Column("by", "Asked by", "requested_by.name", sort="requested_by__name"),
            Column("asked", "Asked", "requested_at", kind="time", sort="requested_at"),
            Column("decided_by", "Decided by", "decided_by.name", sort="decided_by__name",
                   unknown="not yet"),
        ),
        order="-asked",
        empty=Empty("No boosts", "A boost adds an amount for a while.", icon="wallet"),
        prefix="boosts",
    )  # fmt: skip


def asked_badge(asked: Asked, at: datetime) -> Badge:
    """Return what became of a change or a boost; a boost that is over says so."""
    if isinstance(asked, Boost) and asked.status == Asked.Status.APPROVED and asked.over_at <= at:
        return Badge("idle", "", "Over" if asked.ends_at <= at else "Ended early")
    return ASKED[Asked.Status(asked.status)]
