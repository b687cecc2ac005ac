"""What a gate knows of budgets, grants and prices: bounded queries, and only what is new."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.access.budgets.models import Boost, Budget
from apps.access.models import Grant
from apps.catalog.facts.models import ModelFacts
from apps.chargeback.rating import Prices
from apps.gateway.purse.bounds import UNKNOWN_OVERHEAD, overhead
from apps.gateway.purse.terms import Terms, of_grant
from tests.chargeback.pricing import CHEAP, DEAR, price
from tests.factories import (
    CostCenterFactory,
    ModelVersionFactory,
    RegisteredModelFactory,
    TeamFactory,
    UserFactory,
)
from tests.gateway.purse.worlds import AT, a_call, grant, put

pytestmark = pytest.mark.django_db
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
THIS_HOUR = AT.replace(minute=0, second=0)


@pytest.fixture
def team(db):
    return TeamFactory(slug="claims", cost_center=CostCenterFactory(code="CC-1"))


@pytest.fixture
def model(team):
    return RegisteredModelFactory(name="summary", owner_team=team, context_length=4000)


def load(terms, at=AT):
    terms.put_in_force(terms.load(at), at)
    return terms


def limits(terms, at=AT, **call):
    found = terms.limits(a_call(at=at, **call))
    return [(one.limit.kind, one.limit.level, one.limit.most) for one in found]


class TestLoad:
    def test_asks_as_many_queries_however_much_there_is(
        self, team, model, django_assert_num_queries
    ):
        def fill(count):
            for _ in range(count):
                other = RegisteredModelFactory()
                payer = TeamFactory()
                grant(payer, other)
                put(5, team=payer, ready=False, since=AT)
                price(other, CHEAP, THIS_HOUR)

        fill(2)
        terms = Terms()
        with django_assert_num_queries(9):
            terms.load(AT)
        with django_assert_num_queries(8):  # prices are read where any was published
            terms.load(AT + SECOND)
        fill(3)
        with django_assert_num_queries(9):
            terms.load(AT + SECOND)

    def test_reads_the_second_time_what_is_new_or_ended_alone(self, team, model):
        first, granted = put(5, team=team), grant(team, model)
        terms = load(Terms())
        other = put(7, cost_center=team.cost_center, since=AT + SECOND)
        later = AT + timedelta(minutes=30)
        read = terms.load(later)
        assert [term.pk for term in read] == [other.pk]
        terms.put_in_force(read, later)
        assert limits(terms, later) == [("USD", 1, 7), ("USD", 2, 5)]
        Budget.objects.filter(pk=first.pk).update(
            active_to=later, ended_by=first.set_by, end_reason="Over."
        )
        Grant.objects.filter(pk=granted.pk).update(
            revoked_at=later, revoked_by=first.set_by, revoke_reason="Over."
        )
        load(terms, later + SECOND)
        assert limits(terms, later) == [("USD", 1, 7)]
        assert limits(terms, later - SECOND) == [("USD", 1, 7), ("USD", 2, 5)]
        assert terms.grant("claims", "summary", later) is None
        assert terms.grant("claims", "summary", later - SECOND).tokens_per_minute == 1000


class TestWhatBeganBeforeItWasWrittenDown:
    """As what is brought along from elsewhere did, with the day since when it holds."""

    LATER = AT + timedelta(minutes=30)

    def test_a_grant_is_found(self, team, model):
        other = TeamFactory(slug="prior")
        grant(other, model)
        terms = load(Terms())
        assert grant(team, model, tokens=70).active_from < AT
        load(terms, self.LATER)
        assert terms.grant("claims", "summary", self.LATER).tokens_per_minute == 70
        assert terms.grant("prior", "summary", self.LATER).tokens_per_minute == 1000

    def test_a_budget_is_found_once_also_where_it_could_not_count_at_first(self, team):
        put(10, team=TeamFactory(slug="prior"))
        terms = load(Terms())
        made = put(20, team=team)
        for _ in range(2):  # its counter was not ready, so it was not put in force
            assert [term.pk for term in terms.load(self.LATER)] == [made.pk]
        load(terms, self.LATER)
        assert terms.load(self.LATER) == []
        assert limits(terms, self.LATER) == [("USD", 2, 20)]
        assert limits(terms, self.LATER, team="prior") == [("USD", 2, 10)]


class TestWhatWasCommittedLate:
    """Rows whose number was drawn before that of others, which were there first."""

    def test_models_and_their_templates_are_found_all_the_same(self, team, model, monkeypatch):
        def facts(version, text, **more):
            return ModelFacts.objects.create(
                version=version, reader=1, digest="sha256:1", chat_template=text, read_at=AT, **more
            )

        first = facts(ModelVersionFactory(registered_model=model, number=1), "Be kind.")
        terms = load(Terms())
        late = RegisteredModelFactory(
            pk=model.pk - 1, name="late", owner_team=team, context_length=70
        )
        facts(ModelVersionFactory(registered_model=late, number=1), "Be quick.", pk=first.pk - 1)
        load(terms, AT + SECOND)
        assert (terms.model("late").context, terms.model("summary").context) == (70, 4000)
        assert terms.overhead("late") == overhead("Be quick.")
        monkeypatch.setattr("apps.gateway.purse.bounds.overhead", None)  # each is read once
        load(terms, AT + 2 * SECOND)
        assert terms.overhead("summary") == overhead("Be kind.")


class TestLimits:
    def test_are_those_of_the_budgets_that_refuse_and_match(self, team, model):
        put(1, cost_center=team.cost_center)
        put(2, team=team)
        put(3, team=team, unit="TOKENS")
        put(4, team=team, registered_model=model)
        put(5, team=TeamFactory(slug="prior"))
        put(6, team=team, registered_model=RegisteredModelFactory(name="other"), mode="SOFT")
        put(7, cost_center=CostCenterFactory(code="CC-2"), mode="WARN")
        terms = load(Terms())
        mine = [("USD", 1, 1), ("TOKENS", 2, 3), ("USD", 2, 2), ("USD", 3, 4)]
        assert sorted(limits(terms)) == sorted(mine)
        assert sorted(limits(terms, model="other")) == sorted(mine[:3])
        assert limits(terms, team="prior", cost_center="CC-2") == [("USD", 2, 5)]
        (found,) = terms.limits(a_call(team="", cost_center="CC-1"))
        assert (found.scope, found.decider) == (
            "cost center CC-1", "finance person or platform engineer",
        )  # fmt: skip

    def test_hold_boosts_for_as_long_as_they_last(self, team):
        budget = put(10, team=team)
        ends = AT + timedelta(minutes=1)
        Boost.objects.create(
            budget=budget, amount=5, ends_at=ends, justification="More.",
            requested_by=budget.set_by, requested_at=AT, status="APPROVED",
            decided_by=UserFactory(), decided_at=AT,
        )  # fmt: skip
        terms = load(Terms())
        found = [limits(terms, at)[0][2] for at in (AT - SECOND, AT, ends - SECOND, ends)]
        assert found == [10, 15, 15, 10]

    @pytest.mark.parametrize(
        ("zone", "at", "hours"),
        [
            ("UTC", AT, 30 * 24),
            ("America/New_York", AT, 30 * 24 + 1),  # clocks went back on 1 November
            ("America/New_York", AT.replace(month=3, year=2027), 31 * 24 - 1),
        ],
    )
    def test_are_of_the_month_of_the_budgets_zone(self, team, zone, at, hours):
        put(10, team=team, zone=zone, now=at, ready=False)
        (found,) = load(Terms(), at).limits(a_call(at=at))
        assert found.ends_at - found.limit.starts_at == hours * HOUR

    def test_of_a_grant_are_its_minute_and_its_calls(self, team, model):
        grant(team, model, tokens=70, calls=3)
        found = load(Terms()).grant("claims", "summary", AT)
        assert [(one.kind, one.level, one.most) for one in of_grant(found, AT)] == [
            ("MINUTE", 3, 70), ("CALLS", 3, 3),
        ]  # fmt: skip
        assert of_grant(found, AT)[0].starts_at == AT.replace(second=0)


class TestPrices:
    def test_are_those_at_the_start_of_the_calls_hour(self, model):
        price(model, CHEAP, THIS_HOUR - HOUR)
        terms = load(Terms())
        assert terms.prices("summary", AT) == CHEAP
        price(model, DEAR, THIS_HOUR + HOUR)
        load(terms, AT + SECOND)
        assert terms.prices("summary", AT) == CHEAP
        assert terms.prices("summary", AT + HOUR) == DEAR
        assert terms.prices("other", AT) == Prices()

    def test_are_never_those_that_were_read_anew_meanwhile(self, model, monkeypatch):
        price(model, CHEAP, THIS_HOUR - HOUR)
        terms, of, asked = load(Terms()), Prices.of, []

        def while_the_other_thread_loads(by_sku):
            if not asked:
                asked.append(by_sku)
                price(model, DEAR, THIS_HOUR)
                load(terms, AT + SECOND)
            return of(by_sku)

        monkeypatch.setattr(Prices, "of", while_the_other_thread_loads)
        assert terms.prices("summary", AT) == CHEAP
        assert terms.prices("summary", AT) == DEAR


class TestModels:
    def test_have_a_context_an_owner_and_the_longest_template_of_their_versions(self, model):
        terms = load(Terms())
        assert (terms.model("summary").context, terms.model("summary").owner) == (4000, "claims")
        assert terms.model("other") is None
        assert terms.overhead("summary") == UNKNOWN_OVERHEAD
        for number, template in ((1, "Be kind."), (2, "Be kind and short.")):
            version = ModelVersionFactory(registered_model=model, number=number)
            ModelFacts.objects.create(
                version=version, reader=1, digest="sha256:1", chat_template=template, read_at=AT
            )
        load(terms, AT + SECOND)
        assert terms.overhead("summary") == overhead("Be kind and short.")
        assert Decimal(terms.overhead("summary")) < UNKNOWN_OVERHEAD
