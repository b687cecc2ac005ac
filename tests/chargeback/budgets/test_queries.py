"""What was spent, is held and is settled, by budget: the ledger's hours, zones, rows of a gate."""

import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from apps.access.budgets import actions
from apps.access.budgets.models import Budget
from apps.access.budgets.terms import Terms
from apps.accounts.models import Role
from apps.chargeback.actions import price_due_days
from apps.chargeback.budgets import queries
from apps.chargeback.budgets.limits import Verdict
from apps.chargeback.models import EstimateRule
from apps.chargeback.queries import Scope, lines
from tests.access.budgets.test_actions import WHY
from tests.chargeback.pricing import CHEAP, price
from tests.chargeback.test_queries import END, START, use
from tests.database import owner_runs
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db
AT = NOW + timedelta(days=10)
HOUR = timedelta(hours=1)
USED = Decimal("0.000122")  # what tests.chargeback.test_queries.use costs at CHEAP
TOKENS = 1100


@pytest.fixture
def finance(db):
    return UserFactory(with_roles=[Role.FINANCE])


@pytest.fixture
def teams(charlie):
    """The teams of the uses below: claims-review of CC-4100, prior-auth of CC-4200."""
    prior = TeamFactory(slug="prior-auth")
    for team, code in ((charlie.team, "CC-4100"), (prior, "CC-4200")):
        owner_runs(
            f"UPDATE accounts_costcenter SET code = '{code}' WHERE id = {team.cost_center_id}"  # noqa: S608
        )
        team.cost_center.refresh_from_db()
    return charlie.team, prior


def put(finance, unit="USD", zone="UTC", amount=100, now=NOW, **scope):
    terms = Terms(Decimal(amount), zone=zone)
    return actions.set_budget(terms=terms, unit=unit, actor=finance, now=now, **WHY, **scope)


def spent(*budgets, at=AT):
    found = queries.balances(budgets, at)
    return [found[budget.pk].spent for budget in budgets]


def hold(model="prior-auth-extract", usd="1", tokens=10, reserved=AT, **names):
    """Put down what a gate would write before a call."""
    names = {"team": "claims-review", "cost_center": "CC-4100"} | names
    expires = reserved + timedelta(minutes=5)
    owner_runs(f"""INSERT INTO access_budgetreservation
        (call_id, cost_center, team, model, usd, tokens, minute_tokens, reserved_at, expires_at)
        VALUES ('{uuid.uuid4()}', '{names["cost_center"]}', '{names["team"]}', '{model}', {usd},
        {tokens}, 0, '{reserved}', '{expires}')""")  # noqa: S608


def settle(  # noqa: PLR0913 - what a gate writes
    model="prior-auth-extract", usd="1", tokens=10, at=AT, summed="NULL", basis="USAGE", **names
):
    """Put down what a gate would write after a call."""
    names = {"team": "claims-review", "cost_center": "CC-4100"} | names
    owner_runs(f"""INSERT INTO access_settledcall
        (call_id, cost_center, team, model, usd, tokens, occurred_at, settled_at, summed_at,
        operation, basis, completeness)
        VALUES ('{uuid.uuid4()}', '{names["cost_center"]}', '{names["team"]}', '{model}', {usd},
        {tokens}, '{at}', '{at}', {summed}, 'CHAT', '{basis}', 'COMPLETE')""")  # noqa: S608


class TestBalances:
    def test_add_up_the_ledger_for_each_scope_and_unit(self, finance, teams, registered_model):
        claims, prior = teams
        other = RegisteredModelFactory(name="clinical-summary")
        for model in (registered_model, other):
            price(model, CHEAP, START)
        use(START)
        use(START + HOUR)
        use(START, model=other.name, version="clinical-summary-v1")
        use(START, team="prior-auth", cost_center="CC-4200")
        use(START, cost_center="CC-9", version="v9")  # the team, on another one's account
        scopes = (
            {"team": claims, "model": registered_model},
            {"team": claims, "model": other},
            {"team": claims},
            {"team": prior},
            {"cost_center": claims.cost_center},
            {"cost_center": prior.cost_center},
        )
        times = (3, 1, 4, 1, 3, 1)
        money = [put(finance, **scope) for scope in scopes]
        tokens = [put(finance, unit="TOKENS", **scope) for scope in scopes]
        assert spent(*money) == [USED * count for count in times]
        assert spent(*tokens) == [TOKENS * count for count in times]

    def test_take_the_hours_of_the_month_of_each_budgets_zone(
        self, finance, teams, registered_model
    ):
        claims, prior = teams
        price(registered_model, CHEAP, START - timedelta(days=40))
        utc = put(finance, team=claims)
        new_york = put(finance, team=claims, model=registered_model, zone="America/New_York")
        midnight = datetime(2026, 11, 1, 4, tzinfo=UTC)  # in New York, in summer time
        end = datetime(2026, 12, 1, 5, tzinfo=UTC)  # in New York, in winter time
        for hour in (START - HOUR, START, midnight - HOUR, midnight, end - HOUR, end):
            use(hour)
        assert spent(utc, new_york) == [USED * 3, USED * 2]
        assert spent(utc, new_york, at=end) == [USED * 2, USED]
        assert spent(utc, new_york, at=end - HOUR) == [USED * 2, USED * 2]

    def test_price_each_hour_as_the_chargeback_page_does_and_tell_what_has_no_price(
        self, finance, teams, registered_model
    ):
        mine = put(finance, team=teams[0])
        use(START)
        price(registered_model, CHEAP, START + HOUR)
        use(START + HOUR)
        found = queries.balances([mine], AT)[mine.pk]
        assert (found.spent, found.unpriced_tokens) == (USED, TOKENS)
        price_due_days()
        (line,) = lines(start=START, end=END, scope=Scope("claims-review"))
        assert (line.list_cost_usd, line.unpriced_tokens) == (found.spent, found.unpriced_tokens)

    def test_hold_what_is_reserved_now_and_settled_but_not_summed(
        self, finance, teams, registered_model
    ):
        claims, prior = teams
        mine = put(finance, team=claims, model=registered_model)
        tokens = put(finance, team=claims, model=registered_model, unit="TOKENS")
        payer = put(finance, cost_center=claims.cost_center)
        hold(usd="1", tokens=1)
        hold(usd="2", tokens=2, reserved=AT - timedelta(minutes=5) + timedelta(seconds=1))
        hold(usd="4", tokens=4, reserved=AT - timedelta(minutes=5))  # expired
        hold(usd="16", tokens=16, model="clinical-summary")
        hold(usd="32", tokens=32, team="prior-auth", cost_center="CC-4200")
        hold(usd="NULL", tokens=64)
        settle(usd="1", tokens=1)
        settle(usd="2", tokens=2, at=START)
        settle(usd="4", tokens=4, at=START - timedelta(seconds=1))  # last month's
        settle(usd="8", tokens=8, summed="now()")
        settle(usd="16", tokens=16, model="clinical-summary")
        settle(usd="32", tokens=32, team="prior-auth", cost_center="CC-4200")
        found = queries.balances([mine, tokens, payer], AT)
        held = [(found[one.pk].reserved, found[one.pk].settled) for one in (mine, tokens, payer)]
        assert held == [(3, 3), (67, 3), (19, 19)]
        assert found[mine.pk].unpriced_tokens == 64
        assert found[mine.pk].available == 94

    def test_of_an_hour_that_has_passed_know_nothing_that_came_later(self, finance, teams):
        budget = put(finance, team=teams[0])
        minute = timedelta(minutes=1)
        hold(usd="1", reserved=AT - 2 * minute)
        hold(usd="20", reserved=AT)
        settle(usd="3", at=AT - minute)
        settle(usd="40", at=AT)
        asked = AT + minute
        then = queries.balances([budget], asked, until=AT)[budget.pk]
        assert (then.reserved, then.settled) == (1, 3)
        now = queries.balances([budget], asked)[budget.pk]
        assert (now.reserved, now.settled) == (21, 43)

    @pytest.mark.parametrize(("rule", "money"), [(None, 3), (False, 3), (True, 1)])
    def test_count_what_was_estimated_in_money_where_the_ledger_does_not(
        self, finance, teams, registered_model, rule, money
    ):
        if rule is not None:
            EstimateRule.objects.create(
                month=START.date(), prices_estimates=rule, reason="For this test.",
                set_by=finance, set_at=START - HOUR,
            )  # fmt: skip
        mine = put(finance, team=teams[0])
        tokens = put(finance, team=teams[0], unit="TOKENS")
        settle(usd="1", tokens=10)
        settle(usd="2", tokens=20, basis="ESTIMATED")
        found = queries.balances([mine, tokens], AT)
        assert [found[one.pk].settled for one in (mine, tokens)] == [money, 30]

    def test_cost_one_query_and_one_for_each_zone(
        self, finance, teams, registered_model, django_assert_num_queries
    ):
        budgets = [put(finance, team=team) for team in teams]
        with django_assert_num_queries(2):
            queries.balances(budgets, AT)
        other = put(finance, team=teams[0], unit="TOKENS", zone="America/New_York")
        with django_assert_num_queries(3):
            queries.balances([*budgets, other], AT)
        with django_assert_num_queries(0):
            assert queries.balances([], AT) == {}

    def test_find_what_is_held_by_its_indexes(self):
        """With many rows the planner takes them; sequential scans are put out of its reach here."""
        wanted = {
            "budget_reservation_expiry": "access_budgetreservation WHERE expires_at > now()",
            "settled_call_not_summed": "access_settledcall WHERE summed_at IS NULL AND"
            " occurred_at >= now()",
        }
        for index, rows in wanted.items():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute(f"EXPLAIN SELECT 1 FROM {rows}")  # noqa: S608
                assert index in str(cursor.fetchall())


class TestStandings:
    def test_tell_each_day_of_the_month_and_the_weeks_before(
        self, finance, teams, registered_model
    ):
        price(registered_model, CHEAP, START - timedelta(days=60))
        mine = put(finance, team=teams[0], zone="America/New_York")
        late = datetime(2026, 11, 10, 3, tzinfo=UTC)  # the 9th in New York
        for hour in (late, late + 2 * HOUR, START - timedelta(days=8), START - timedelta(days=30)):
            use(hour)
        use(late, team="prior-auth")
        (found,) = queries.standings([mine], AT)
        assert found.spent_by_day == {
            date(2026, 10, 23): USED,
            date(2026, 11, 9): USED,
            date(2026, 11, 10): USED,
        }
        assert (found.today, found.balance.spent) == (date(2026, 11, 12), 2 * USED)

    def test_look_ahead_where_two_weeks_are_known(self, finance, teams, registered_model):
        price(registered_model, CHEAP, START - timedelta(days=60))
        mine, other = put(finance, team=teams[0]), put(finance, team=teams[1])
        for back in range(1, 20):
            use(AT.replace(hour=0) - timedelta(days=back))
        use(AT.replace(hour=0) - timedelta(days=3), team="prior-auth")
        known, unknown = queries.standings([mine, other], AT)
        assert unknown.outlook is None
        days_to_come = 18 + Decimal(15) / 24  # of the 12th, after nine o'clock
        whole = known.balance.spent + USED * days_to_come
        assert abs(known.outlook.low - whole) < Decimal("0.000001")
        assert known.outlook.low == known.outlook.high


class TestDecision:
    def call(self, usd, team="claims-review", model="prior-auth-extract", at=AT):
        return queries.decision(
            cost_center="CC-4100",
            team=team,
            model=model,
            usd=None if usd is None else Decimal(usd),
            tokens=10,
            at=at,
        )

    def test_asks_every_budget_that_the_call_counts_against(
        self, finance, teams, registered_model, django_assert_num_queries
    ):
        claims, prior = teams
        small = put(finance, team=claims, model=registered_model, amount=10)
        payer = put(finance, cost_center=claims.cost_center, amount=15)
        put(finance, team=prior, amount=1)
        hold(usd="4")
        hold(usd="4", model="clinical-summary")
        with django_assert_num_queries(3):
            assert self.call("6").refused_by == ()
        refused = self.call("6.01")
        assert [one.budget for one in refused.refused_by] == [small]
        assert refused.verdict == Verdict.REFUSE
        other_model = self.call("7.01", model="clinical-summary")
        assert [one.budget for one in other_model.refused_by] == [payer]
        assert self.call("7", model="clinical-summary").refused_by == ()

    def test_knows_only_budgets_in_force(self, finance, teams):
        put(finance, team=teams[0], amount=1, now=AT)
        assert self.call("2", at=AT - timedelta(seconds=1)).verdict == Verdict.PASS
        assert self.call("2").verdict == Verdict.REFUSE
        assert Budget.objects.count() == 1


class TestVersionsOf:
    def test_are_those_in_the_figures(self, finance, teams):
        mine, payer = put(finance, team=teams[0]), put(finance, cost_center=teams[1].cost_center)
        use(START, version="a-v1")
        use(START, version="b-v1", team="other", cost_center="CC-4200")
        use(START, version="c-v1", team="other", cost_center="CC-1")
        use(START - HOUR, version="d-v1")
        use(END, version="e-v1")
        left = queries.balances([mine, payer], AT).values()
        assert queries.versions_of(left) == {"a-v1", "b-v1"}
        assert queries.versions_of([]) == set()
