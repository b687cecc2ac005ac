"""Telling of thresholds: once for each month, budget and threshold; to whom, with what boost."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from apps.access.budgets import actions
from apps.access.budgets.models import BudgetAlert
from apps.access.budgets.queries import open_alerts
from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.chargeback.budgets import alerts
from apps.chargeback.rating import Prices
from portal.needs.queries import needs_of, waits_of
from tests.access.budgets.test_actions import WHY, boost, change
from tests.chargeback.budgets.test_queries import AT, finance, put, teams  # noqa: F401
from tests.chargeback.pricing import price
from tests.chargeback.test_queries import START, use
from tests.factories import UserFactory
from tests.trail import trail

pytestmark = pytest.mark.django_db
DOLLAR = Prices(input=Decimal(1_000_000))  # a dollar a token
LATER = AT + timedelta(days=1)


@pytest.fixture
def mine(finance, teams, registered_model):  # noqa: F811
    """A budget of 100 dollars of which 85 are spent; another team's, of which 10 are."""
    price(registered_model, DOLLAR, START - timedelta(days=60))
    put(finance, team=teams[1])
    spend(85)
    spend(10, team="prior-auth", cost_center="CC-4200")
    return put(finance, team=teams[0], model=registered_model)


def spend(usd, hour=START, **names):
    """Use a model for so many dollars in an hour."""
    tokens = {"input_tokens": usd, "cached_input_tokens": 0, "output_tokens": 0}
    use(hour, **tokens | names)


def told():
    return sorted(
        (alert.budget.scope, alert.threshold, alert.month) for alert in BudgetAlert.objects.all()
    )


NOVEMBER = date(2026, 11, 1)
SCOPE = "claims-review for prior-auth-extract"


class TestTellBudgets:
    def test_tells_what_is_reached_once_with_its_figures(self, mine):
        assert alerts.tell_budgets(now=AT) == 1
        assert alerts.tell_budgets(now=AT + timedelta(minutes=2)) == 0
        alert = BudgetAlert.objects.get()
        assert told() == [(SCOPE, 80, NOVEMBER)]
        assert (alert.spent, alert.limit, alert.told_at) == (85, 100, AT)
        facts = {
            "threshold": 80,
            "month": "2026-11",
            "spent": "85",
            "limit": "100",
            "unit": "USD",
        }
        assert trail(mine)[1:] == [(Action.BUDGET_REACHED, "system:chargeback.tell_budgets", facts)]

    def test_tells_the_next_threshold_and_another_month_again(self, mine):
        alerts.tell_budgets(now=AT)
        spend(15, START + timedelta(hours=1))
        assert alerts.tell_budgets(now=AT) == 1
        assert alerts.tell_budgets(now=AT) == 0
        spend(80, START + timedelta(days=30))
        december = date(2026, 12, 1)
        assert alerts.tell_budgets(now=AT + timedelta(days=30)) == 1
        assert told() == [(SCOPE, 80, NOVEMBER), (SCOPE, 80, december), (SCOPE, 100, NOVEMBER)]

    def test_tells_nothing_again_after_a_change_or_a_boost(self, mine, finance, charlie, alice):  # noqa: F811
        alerts.tell_budgets(now=AT)
        change(mine, finance, now=AT + timedelta(hours=1), amount=Decimal(99))
        assert alerts.tell_budgets(now=LATER) == 0

    def test_tells_once_what_two_workers_find_at_once(self, mine, monkeypatch):
        alerts.tell_budgets(now=AT)
        monkeypatch.setattr(alerts, "_told", lambda reached, now: set())
        assert alerts.tell_budgets(now=AT) == 0
        assert told() == [(SCOPE, 80, NOVEMBER)]
        assert AuditEvent.objects.filter(action=Action.BUDGET_REACHED).count() == 1

    def test_tells_two_thresholds_that_are_reached_at_once(self, mine):
        spend(20, START + timedelta(hours=1))
        assert alerts.tell_budgets(now=AT) == 2
        assert AuditEvent.objects.filter(action=Action.BUDGET_REACHED).count() == 2

    def test_tells_nothing_of_budgets_that_are_over(self, mine, finance, alice):  # noqa: F811
        asked = actions.request_end(budget=mine, requester=finance, now=AT, **WHY)
        actions.approve_change(request=asked, approver=alice, now=AT, **WHY)
        assert alerts.tell_budgets(now=LATER) == 0

    def test_costs_the_same_queries_however_many_budgets_there_are(
        self,
        mine,
        finance,  # noqa: F811
        teams,  # noqa: F811
        django_assert_num_queries,
    ):
        alerts.tell_budgets(now=AT)
        with django_assert_num_queries(4):
            alerts.tell_budgets(now=AT)
        put(finance, team=teams[0], amount=5000)
        with django_assert_num_queries(4):
            alerts.tell_budgets(now=AT)


class TestBoostFor:
    def suggested(self):
        alerts.tell_budgets(now=AT)
        return BudgetAlert.objects.latest("threshold").boost

    def test_is_a_fifth_where_nobody_knows_what_is_to_come(self, mine):
        assert self.suggested() == 20

    def test_is_a_fifth_where_nothing_lacks_yet(self, mine):
        spend(15, START + timedelta(hours=1))
        assert self.suggested() == 20

    def test_of_tokens_is_in_thousands(self, finance, teams, registered_model):  # noqa: F811
        put(finance, team=teams[0], unit="TOKENS", amount=12_001)
        spend(10_000)
        assert self.suggested() == 3000

    def test_is_what_lacks_already_where_that_is_all_that_is_known(self, mine):
        spend(30, START + timedelta(hours=1))
        assert self.suggested() == 15

    def test_is_what_the_month_will_lack_at_most(self, mine):
        for back in range(1, 15):
            spend(1, AT.replace(hour=1) - timedelta(days=back))
        # 96 are spent. The busier week cost 92, 87 of 99 on Sundays, 2 on each other weekday; three
        # Sundays, fifteen other days and 15 hours are to come: 96 + 271.59
        assert self.suggested() == 268


def needs(person, at=AT):
    return [(need.title, need.why, need.tone) for need in needs_of(person, at)]


class TestNeeds:
    WORDS = (
        f"The budget of {SCOPE} is 80 % used",
        "$85.00 of $100.00. Ask for a boost of $20.00 until 30 Nov 2026",
        "warn",
    )

    @pytest.fixture(autouse=True)
    def told(self, mine):
        alerts.tell_budgets(now=AT)

    def test_tell_the_lead_the_owner_and_finance(self, finance, charlie, alice, bob, carol):  # noqa: F811
        for person in (finance, charlie, alice, bob):
            assert needs(person) == [self.WORDS]
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        stranger = UserFactory(with_roles=[Role.TEAM_LEAD])
        developer = UserFactory(team=charlie.team, with_roles=[Role.DEVELOPER])
        lonely = UserFactory(team=None, with_roles=[Role.TEAM_LEAD, Role.MODEL_OWNER])
        for person in (carol, engineer, stranger, developer, lonely):
            assert needs(person) == []

    def test_lead_to_a_boost_with_amount_and_end_filled_in(self, client, charlie, mine):
        (need,) = needs_of(charlie, AT)
        assert need.url == f"/chargeback/budgets/{mine.series}/boost/?amount=20&end=2026-11-30"
        client.force_login(charlie)
        form = client.get(need.url).context["form"]
        assert form.initial == {"amount": Decimal(20), "last_day": date(2026, 11, 30)}

    def test_say_the_highest_threshold_alone(self, charlie):
        spend(20, START + timedelta(hours=1))
        alerts.tell_budgets(now=LATER)
        ((title, why, tone),) = needs(charlie, LATER)
        assert (title, tone) == (f"The budget of {SCOPE} is spent", "bad")
        assert why.startswith("$105.00 of $100.00.")

    def test_go_with_the_month_and_with_more_money(self, charlie, alice, mine):
        assert open_alerts(charlie, AT + timedelta(days=19)) == []
        asked = boost(mine, charlie, amount=1, now=AT)
        assert len(needs(charlie)) == 1
        actions.approve_boost(request=asked, approver=alice, now=AT, **WHY)
        assert needs(charlie) == []
        assert len(needs(charlie, asked.ends_at - timedelta(seconds=1))) == 0

    def test_of_a_cost_center_go_to_who_sets_it(self, finance, charlie, teams):  # noqa: F811
        put(finance, cost_center=teams[0].cost_center, amount=50)
        alerts.tell_budgets(now=AT)
        engineer = UserFactory(with_roles=[Role.PLATFORM_ENGINEER])
        assert [title for title, *_ in needs(engineer)] == [
            "The budget of cost center CC-4100 is spent"
        ]
        assert len(needs(finance)) == 2
        assert len(needs(charlie)) == 1

    def test_ask_for_decisions_and_tell_who_asked_what_they_wait_for(
        self,
        mine,
        charlie,
        alice,
        finance,  # noqa: F811
        carol,
    ):
        boost(mine, charlie, amount=7, now=AT)
        change(mine, charlie, now=AT, amount=Decimal(200))
        asked = [
            (
                f"Charlie asks for the change of the budget of {SCOPE}",
                "$200.00 a month instead of $100.00: Usual.",
                "busy",
            ),
            (
                f"Charlie asks for the boost of the budget of {SCOPE}",
                "$7.00 until 30 Nov 2026: Usual.",
                "busy",
            ),
        ]
        for person in (alice, finance):
            assert sorted(needs(person)[1:]) == sorted(asked)
        assert needs(charlie) == [self.WORDS]
        waits = [(need.title, need.why) for need in waits_of(charlie)]
        who = "A model owner of ml-platform or finance person decides"
        assert waits == [
            (f"Your change of the budget of {SCOPE}", who),
            (f"Your boost of the budget of {SCOPE}", who),
        ]
        assert needs(carol) == waits_of(carol) == waits_of(alice) == []
