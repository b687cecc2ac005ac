"""A team that moves to another cost center, or gets another name, in the middle of a month; and
months that are short, or have nights of another length, in a budget's zone. What a call's token
said when it was made is what it counts for, in ledger, budgets and statements alike.
"""

# ruff: noqa: F401, F811 - fixtures of another module are arguments here

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.access.budgets.models import Budget
from apps.accounts.actions import assign_cost_center
from apps.accounts.models import CostCenter
from apps.audit.models import Action, AuditEvent
from apps.chargeback import ledger
from apps.chargeback import queries as money
from apps.chargeback.actions import price_due_days
from apps.chargeback.budgets import queries
from apps.chargeback.closing.statements import LIST, drafts
from apps.chargeback.rating import Prices
from tests.chargeback.budgets.test_queries import finance, put, spent, teams
from tests.chargeback.pricing import price
from tests.chargeback.test_queries import END, START, use
from tests.factories import TeamFactory

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOVEMBER = date(2026, 11, 1)
DOLLAR = Prices(Decimal(1_000_000), Decimal(0), Decimal(0))  # for each input token
MOVED_AT = START + 14 * DAY
LATER = START + 20 * DAY


def dollars(count, hour, **names):
    use(hour, input_tokens=count, cached_input_tokens=0, output_tokens=0, **names)


@pytest.fixture
def priced(registered_model):
    price(registered_model, DOLLAR, START - 400 * DAY)


def statements():
    """Return cost center → what the month's statement would come to by the price list."""
    price_due_days()
    made = drafts(NOVEMBER, ledger.known(NOVEMBER))
    return {draft.cost_center: draft.total(LIST) for draft in made}


def listed(*names):
    """Return what the month's lines come to, by these names."""
    price_due_days()
    found = {}
    for line in money.lines(start=START, end=END, scope=money.EVERYTHING):
        key = tuple(getattr(line, name) for name in names)
        found[key] = found.get(key, 0) + line.list_cost_usd
    return found


class TestATeamThatMoves:
    @pytest.fixture
    def moved(self, priced, finance, teams):
        """Seven dollars on its first cost center, twenty on its second, three of another team."""
        team = teams[0]
        budgets = {
            "team": put(finance, team=team),
            "old": put(finance, cost_center=team.cost_center),
            "new": put(finance, cost_center=CostCenter.objects.create(code="CC-7000")),
        }
        dollars(7, MOVED_AT - HOUR, cost_center="CC-4100")
        assign_cost_center(team=team, code="CC-7000", actor=finance, now=MOVED_AT)
        dollars(20, MOVED_AT, cost_center="CC-7000")
        dollars(3, MOVED_AT, team="prior-auth", cost_center="CC-4100")
        return budgets

    def test_is_charged_where_each_call_said(self, moved):
        assert listed("team", "cost_center") == {
            ("claims-review", "CC-4100"): 7,
            ("claims-review", "CC-7000"): 20,
            ("prior-auth", "CC-4100"): 3,
        }

    def test_spends_of_its_own_budget_all_month_and_of_each_payers_its_part(self, moved):
        found = spent(moved["team"], moved["old"], moved["new"], at=LATER)
        assert found == [27, 10, 20]

    def test_stands_on_both_payers_statements_which_sum_to_the_whole(self, moved):
        found = statements()
        assert found == {"CC-4100": Decimal("10.00"), "CC-7000": Decimal("20.00")}
        assert sum(found.values()) == sum(listed("team").values())

    def test_changes_nothing_that_was_counted_before(self, moved, finance, teams):
        before = listed("team", "cost_center")
        assign_cost_center(team=teams[0], code="CC-8000", actor=finance, now=LATER)
        assert listed("team", "cost_center") == before
        moves = AuditEvent.objects.filter(action=Action.COST_CENTER_ASSIGNED)
        assert moves.count() == 2


class TestATeamThatIsRenamed:
    def test_is_two_names_that_share_a_payer(self, priced, finance, teams):
        """The identity provider's new name is a new team: what was used keeps the old one."""
        old, payer = put(finance, team=teams[0]), put(finance, cost_center=teams[0].cost_center)
        dollars(7, MOVED_AT - HOUR)
        renamed = TeamFactory(slug="claims-reviewers", cost_center=teams[0].cost_center)
        new = put(finance, team=renamed, now=MOVED_AT)
        dollars(20, MOVED_AT, team="claims-reviewers")
        assert spent(old, new, payer, at=LATER) == [7, 20, 27]
        assert listed("team") == {("claims-review",): 7, ("claims-reviewers",): 20}
        assert statements() == {"CC-4100": Decimal("27.00")}


class TestAModelThatNobodyServesAnyMore:
    def test_keeps_its_budget_with_what_was_spent_until_somebody_ends_it(
        self,
        priced,
        finance,
        teams,
        registered_model,
    ):
        budget = put(finance, team=teams[0], model=registered_model)
        dollars(7, START)
        registered_model.versions.all().update(status="QUARANTINED")
        standing = queries.standings([Budget.objects.named().get(pk=budget.pk)], LATER)[0]
        assert (standing.balance.spent, standing.balance.available) == (7, 93)
        assert listed("model") == {("prior-auth-extract",): 7}


class TestMonthsOfAZone:
    @pytest.mark.parametrize(
        ("zone", "month", "day", "hours"),
        [
            ("America/New_York", 3, date(2026, 3, 8), 23),
            ("America/New_York", 11, date(2026, 11, 1), 25),
            ("America/Los_Angeles", 3, date(2026, 3, 8), 23),
            ("America/Los_Angeles", 11, date(2026, 11, 1), 25),
            ("UTC", 3, date(2026, 3, 8), 24),
        ],
    )
    def test_count_each_hour_once_where_a_night_has_another_length(
        self,
        priced,
        finance,
        teams,
        zone,
        month,
        day,
        hours,
    ):
        budget = put(finance, team=teams[0], zone=zone, now=datetime(2026, 1, 1, tzinfo=UTC))
        first = datetime(2026, month, day.day, tzinfo=UTC)
        for hour in range(72):
            dollars(1, first - DAY + hour * HOUR)
        found = queries.standings([budget], first + 2 * DAY)[0]
        assert found.spent_by_day[day] == hours
        in_month = {each: usd for each, usd in found.spent_by_day.items() if each.month == month}
        assert sum(in_month.values()) == found.balance.spent

    @pytest.mark.parametrize(
        ("zone", "begins"), [("UTC", 0), ("America/New_York", 5), ("America/Los_Angeles", 8)]
    )
    @pytest.mark.parametrize(("year", "days"), [(2027, 28), (2028, 29)])
    def test_end_february_at_its_own_midnight(
        self,
        priced,
        finance,
        teams,
        zone,
        begins,
        year,
        days,
    ):
        budget = put(finance, team=teams[0], zone=zone, now=datetime(2026, 1, 1, tzinfo=UTC))
        start = datetime(year, 2, 1, begins, tzinfo=UTC)
        end = start + days * DAY
        for hour, usd in ((start - HOUR, 1), (start, 2), (end - HOUR, 4), (end, 8)):
            dollars(usd, hour)
        assert spent(budget, at=start) == [6]
        assert spent(budget, at=end - HOUR) == [6]
        assert spent(budget, at=end) == [8]
        assert spent(budget, at=start - HOUR) == [1]
