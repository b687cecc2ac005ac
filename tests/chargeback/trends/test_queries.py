"""What trends are drawn from, of two teams, two models and two days in two months."""

from datetime import date
from decimal import Decimal

import pytest

from apps.chargeback.actions import allocate_day
from apps.chargeback.queries import EVERYTHING, Scope
from apps.chargeback.trends import queries
from apps.chargeback.trends.models import DayFact
from apps.chargeback.trends.queries import Span
from tests.chargeback.test_queries import use
from tests.fleet.machines import at, machine, replica

pytestmark = pytest.mark.django_db
OCTOBER = -31 * 24  # hours
MONDAY, TUESDAY, OLD = date(2026, 11, 2), date(2026, 11, 3), date(2026, 10, 2)
NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)
DAYS = Span(NOVEMBER, DECEMBER, is_monthly=False)
MONTHS = Span(date(2026, 9, 1), DECEMBER, is_monthly=True)


@pytest.fixture(autouse=True)
def machines():
    """A GPU of chat at $4 an hour: an hour in October, and on two days of November; one of embed at
    $1, an hour on Monday. Of its tokens on Monday, a has one part of four.
    """
    for hour in (OCTOBER, 0, 24):
        chat = machine(f"chat{hour}", hour, hour + 1, price="4", gpus=1)
        replica(chat, "chat-v1", hour, hour + 1, ready=hour)
        call(hour, "a", "chat", 1_000_000)
    call(0, "b", "chat", 3_000_000)
    embed = machine("embed", 0, 1, price="1", gpus=1, instance_type="g6.xlarge")
    replica(embed, "embed-v1", 0, 1)
    call(0, "b", "embed", 2_000_000)
    for day in (OLD, MONDAY, TUESDAY):
        allocate_day(day=day, now=at(24 * 20))


def call(hour, team, model, tokens):
    use(at(hour), team=team, cost_center=f"CC-{team}", model=model, version=f"{model}-v1",
        input_tokens=tokens, cached_input_tokens=0, output_tokens=0)  # fmt: skip


class TestSpan:
    def test_has_its_days_or_months(self):
        assert MONTHS.places == [date(2026, 9, 1), date(2026, 10, 1), NOVEMBER]
        assert (len(DAYS.places), DAYS.places[-1]) == (30, date(2026, 11, 30))
        assert (MONTHS.place(TUESDAY), DAYS.place(TUESDAY)) == (NOVEMBER, TUESDAY)


class TestTold:
    def test_adds_days_up_to_months(self):
        days, months = queries.told(DAYS), queries.told(MONTHS)
        assert set(days) == {MONDAY, TUESDAY}
        assert set(months) == {date(2026, 10, 1), NOVEMBER}
        ready = [days[day].facts["READY"].gpu_hours for day in (MONDAY, TUESDAY)]
        assert ready == [2, 1] and months[NOVEMBER].facts["READY"].gpu_hours == 3
        assert months[NOVEMBER].kinds["WORK"] == 9

    def test_knows_no_fact_of_days_from_before_there_were_facts(self):
        DayFact.objects.filter(day=MONDAY).delete()
        assert queries.told(DAYS)[MONDAY].facts == {}
        assert queries.told(DAYS)[MONDAY].kinds["WORK"] == 5

    def test_keeps_what_has_no_price_apart(self):
        DayFact.objects.all().delete()
        for day, usd in ((MONDAY, None), (TUESDAY, 5)):
            DayFact.objects.create(day_id=day, fact="SPOT", method_version=1, gpu_hours=2,
                                   unpriced_gpu_hours=2 if usd is None else 0, usd=usd)  # fmt: skip
        month = queries.told(MONTHS)[NOVEMBER].facts["SPOT"]
        assert (month.usd, month.gpu_hours, month.unpriced_gpu_hours) == (5, 4, 2)
        assert queries.told(DAYS)[MONDAY].facts["SPOT"].usd is None


def hours(span, scope=EVERYTHING):
    return queries.hours_by_team(span, scope, queries.told(span))


class TestHoursByTeam:
    def test_are_of_each_team(self):
        found = hours(DAYS)
        assert found == {
            "a": {MONDAY: Decimal("0.25"), TUESDAY: 1},
            "b": {MONDAY: Decimal("1.75")},
        }
        months = hours(MONTHS)
        assert months["a"] == {date(2026, 10, 1): 1, NOVEMBER: Decimal("1.25")}

    def test_gather_the_others_and_lose_nothing(self, monkeypatch):
        monkeypatch.setattr(queries, "SHOWN", 1)
        found = hours(DAYS)
        assert found == {
            "b": {MONDAY: Decimal("1.75")},
            "Other teams": {MONDAY: Decimal("0.25"), TUESDAY: 1},
        }
        DayFact.objects.filter(day=MONDAY).delete()
        assert hours(DAYS)["Other teams"] == {TUESDAY: 1}

    def test_of_a_lead_are_the_team_s_own(self, monkeypatch):
        monkeypatch.setattr(queries, "SHOWN", 1)
        assert list(hours(DAYS, Scope("a"))) == ["a"]


class TestByCard:
    def test_tells_what_a_million_tokens_cost(self):
        found = queries.by_card(DAYS, EVERYTHING)
        assert set(found) == {("chat", "h100"), ("embed", "l4")}
        assert [found["chat", "h100"][day].per_million_usd for day in (MONDAY, TUESDAY)] == [1, 4]
        assert found["embed", "l4"][MONDAY].per_million_usd == Decimal("0.5")
        months = queries.by_card(MONTHS, EVERYTHING)["chat", "h100"]
        assert months[NOVEMBER].per_million_usd == Decimal("1.6")  # $8 for five million

    def test_of_a_lead_is_of_the_team_s_own_work(self):
        found = queries.by_card(DAYS, Scope("a"))
        assert set(found) == {("chat", "h100")}
        assert found["chat", "h100"][MONDAY].per_million_usd == 1

    def test_does_not_know_it_where_some_time_has_no_price(self):
        replica(machine("free", 0, 1, price=None, gpus=1), "chat-v1", 0, 1)
        allocate_day(day=MONDAY, now=at(24 * 20))
        assert queries.by_card(DAYS, EVERYTHING)["chat", "h100"][MONDAY].per_million_usd is None
