"""What machines cost, as every page and export reads it: sums of the days' shares."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from apps.chargeback import actions, costs, queries
from apps.chargeback.models import ChangedDay
from apps.chargeback.queries import Scope
from apps.chargeback.rating import Prices
from tests.chargeback.pricing import price
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory
from tests.fleet.machines import at, machine, replica

pytestmark = pytest.mark.django_db
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
ALL = Scope(None)
NOVEMBER = {"start": START, "end": END}
EIGHT_B = 8_030_000_000


def share_out(*places):
    for place in places or (0,):
        actions.allocate_day(day=date(2026, 11, 2) + timedelta(days=place), now=at(24 * 20))


@pytest.fixture
def month():
    """Two models on two cards, two teams, two days; a machine without a price; one for nobody."""
    for name, size in (("chat", EIGHT_B), ("embed", 135_000_000)):
        model = RegisteredModelFactory(name=name, parameter_count=size)
        price(model, Prices(Decimal(1), Decimal(1), Decimal(10)), START)
    big = machine("big", 0, 2, price="8", capacity_type="spot")
    small = machine("small", 23, 26, price="2", gpus=1, instance_type="g6.xlarge",
                    capacity_type="on-demand")  # fmt: skip
    machine("cpu", 0, 1, price="0.5", gpus=0, instance_type="m7i.large")
    machine("dark", 1, 2, price="3", observed=False, capacity_type="on-demand")
    machine("free", 0, 1, price=None, instance_type="p5.48xlarge", capacity_type="on-demand")
    replica(big, "chat-v1", 0, 2, ready=1)
    replica(small, "embed-v1", 23, 26)
    replica(big, "embed-v1", 0, 2, namespace="evals")
    # of an hour of a GPU: 1/10 and 1/5
    for team, tokens in (("a", 2_425_263), ("b", 4_850_526)):
        use(at(1), model="chat", version="chat-v1", team=team, cost_center=f"CC-{team}",
            input_tokens=0, cached_input_tokens=0, output_tokens=tokens)  # fmt: skip
    use(at(25), model="embed", version="embed-v1", team="b", cost_center="CC-b",
        input_tokens=2_000_000, cached_input_tokens=0, output_tokens=0)  # fmt: skip
    share_out(0, 1)


@pytest.mark.usefixtures("month")
class TestTotals:
    def test_are_the_sum_of_what_became_of_all_machines(self):
        found = costs.totals(**NOVEMBER, scope=ALL)
        # 2 h × $8, 3 h × $2, $0.50, $3
        assert found.total_usd == Decimal("25.5")
        # $1 a GPU-hour: 3 of them work, as 0.1 + 0.2 do not make a whole one; one is embed's
        assert (found.start_usd, found.platform_usd, found.residual_usd) == (
            Decimal(1),
            Decimal("0.5"),
            Decimal(3),
        )
        assert found.unallocated_usd == Decimal(12)
        assert found.work_usd + found.idle_usd == Decimal(9)
        assert found.evaluation_usd == Decimal(2)
        assert found.gpu_hours == 16 + 3 + 8 + 8
        assert found.unpriced_gpu_hours == Decimal(8)

    def test_show_a_team_what_its_work_took_and_nothing_else(self):
        found = costs.totals(**NOVEMBER, scope=Scope("a"))
        assert (
            found.total_usd == found.work_usd == pytest.approx(Decimal("0.1"), abs=Decimal("1e-6"))
        )
        assert found.tokens == 2_425_263

    def test_of_a_month_are_the_sum_of_its_days_whatever_changed(self):
        october = machine("before", -48, -47, price="7", gpus=1)
        replica(october, "chat-v1", -48, -47)
        machine("after", 24 * 40, 24 * 40 + 1, price="9")
        share_out(-2, 40)
        machine("late", 5, 6, price="40")
        share_out(0)
        days = {"start": START, "end": END - timedelta(hours=1)}  # not a whole month: its days
        month, of_days = (costs.totals(**period, scope=ALL) for period in (NOVEMBER, days))
        assert replace(month, shares=0, priced_shares=0) == replace(
            of_days, shares=0, priced_shares=0
        )
        assert month.total_usd == Decimal("65.5")
        both = costs.totals(start=START - timedelta(days=31), end=END, scope=ALL)
        assert both.total_usd == Decimal("72.5")
        for name in costs.DIMENSIONS[1:]:
            found = [costs.lines(**period, scope=ALL, by=[name]) for period in (NOVEMBER, days)]
            first, second = (
                [(getattr(line, name), line.costs.total_usd) for line in each] for each in found
            )
            assert first == second

    def test_are_of_the_days_of_the_period(self):
        day = timedelta(days=1)
        monday = costs.totals(start=START + day, end=START + 2 * day, scope=ALL)
        tuesday = costs.totals(start=START + 2 * day, end=START + 3 * day, scope=ALL)
        assert (monday.total_usd, tuesday.total_usd) == (Decimal("21.5"), Decimal(4))
        nothing = costs.totals(start=END, end=END + day, scope=ALL)
        assert (nothing.total_usd, nothing.usd_per_million, nothing.most_use) == (0, None, None)


@pytest.mark.usefixtures("month")
class TestLines:
    def test_sum_to_the_total_whatever_they_are_grouped_by(self):
        total = costs.totals(**NOVEMBER, scope=ALL)
        for by in (*([name] for name in costs.DIMENSIONS), costs.DIMENSIONS):
            found = costs.added(line.costs for line in costs.lines(**NOVEMBER, scope=ALL, by=by))
            # days have more shares than the month
            assert replace(found, shares=0, priced_shares=0) == replace(
                total, shares=0, priced_shares=0
            )

    def test_are_the_amounts_of_what_cost_something(self):
        by = ("gpu_name", "model", "cost_center", "kind", "basis")
        found = costs.amounts(**NOVEMBER, scope=ALL, by=by)
        assert found == {
            tuple(getattr(line, name) for name in by): line.costs.total_usd
            for line in costs.lines(**NOVEMBER, scope=ALL, by=by)
            if line.costs.total_usd
        }
        assert sum(found.values()) == costs.totals(**NOVEMBER, scope=ALL).total_usd > 0
        mine = costs.amounts(**NOVEMBER, scope=queries.Scope("a"), by=["team"])
        assert set(mine) == {("a",)}

    def test_tell_gpu_hours_of_teams(self):
        found = costs.lines(**NOVEMBER, scope=ALL, by=["cost_center", "team"])
        hours = {(line.cost_center, line.team): line.costs.gpu_hours for line in found}
        assert hours["CC-a", "a"] == pytest.approx(Decimal("0.1"), abs=Decimal("1e-6"))
        # a fifth of an hour of chat, and a whole hour of embed, whose speed nobody measured
        assert hours["CC-b", "b"] == pytest.approx(Decimal("1.2"), abs=Decimal("1e-6"))
        assert set(hours) == {("", ""), ("CC-a", "a"), ("CC-b", "b")}

    def test_refuse_what_is_no_dimension(self):
        with pytest.raises(KeyError):
            costs.lines(**NOVEMBER, scope=ALL, by=["user_id"])


@pytest.mark.usefixtures("month")
class TestCosts:
    def by_model(self):
        return {line.model: line.costs for line in costs.lines(**NOVEMBER, scope=ALL, by=["model"])}

    def test_tell_what_a_million_tokens_cost_with_idling_and_starting(self):
        found = self.by_model()
        assert found["chat"].usd_per_million == Decimal(2) / Decimal("7.275789")
        # three hours of $2, and the evaluation's $2 is not paid by them
        assert found["embed"].usd_per_million == Decimal(3)

    def test_tell_no_cost_of_tokens_where_a_machine_has_no_price(self):
        lost = machine("lost", 25, 26, price=None)
        replica(lost, "embed-v1", 25, 26)
        share_out(1)
        found = self.by_model()["embed"]
        assert found.unpriced_gpu_hours == 1
        assert found.usd_per_million is None and found.total_usd > 0

    def test_tell_use_by_work_as_far_as_it_was_measured(self):
        found = self.by_model()
        assert found["chat"].least_use == pytest.approx(Decimal("0.3"), abs=Decimal("1e-6"))
        assert found["chat"].most_use == found["chat"].least_use
        assert (found["embed"].least_use, found["embed"].most_use) == (0, Decimal(1) / 3)

    def test_tell_what_spot_saved(self):
        total = costs.totals(**NOVEMBER, scope=ALL)
        # the machine without a GPU is Spot, too, and not listed
        assert (total.spot_usd, total.spot_on_demand_usd) == (Decimal(16), 2 * Decimal("55.04"))
        assert total.spot_saved_usd == Decimal("94.08")
        by_type = costs.lines(**NOVEMBER, scope=ALL, by=["instance_type"])
        assert {line.instance_type: line.costs.spot_usd for line in by_type} == {
            "g6.xlarge": 0,
            "m7i.large": 0,
            "p5.48xlarge": 16,
        }

    def test_have_no_amount_where_nothing_has_a_price(self):
        lost = machine("lost", 48, 50, price=None)
        replica(lost, "other-v1", 48, 50)
        share_out(2)
        found = self.by_model()["other"]
        assert (found.total_usd, found.gpu_hours, found.unpriced_gpu_hours) == (None, 2, 2)


@pytest.mark.usefixtures("month")
class TestMachines:
    def found(self, scope=ALL):
        actions.price_due_days()
        listed = queries.lines(**NOVEMBER, scope=scope)
        return costs.machines(**NOVEMBER, scope=scope, listed=listed)

    def test_put_both_bases_of_a_model_side_by_side(self):
        embed, chat = self.found().models
        assert (embed.model, embed.cards) == ("embed", ("h100", "l4"))
        assert (embed.list_usd, embed.real_usd, embed.margin_usd) == (2, 8, -6)
        assert (chat.model, chat.cards, chat.real_usd) == ("chat", ("h100",), 2)
        assert chat.list_usd == Decimal("72.75789")
        assert chat.margin_usd == Decimal("70.75789")

    def test_tell_cards_and_what_is_no_model_s(self):
        found = self.found()
        assert {(line.model, line.gpu_name): line.costs.total_usd for line in found.cards} == {
            ("chat", "h100"): 2,
            ("embed", "h100"): 2,
            ("embed", "l4"): 6,
        }
        assert {line.kind: line.costs.total_usd for line in found.others} == {
            "PLATFORM": Decimal("0.5"),
            "RESIDUAL": 3,
            "UNALLOCATED": 12,
        }
        assert found.total == costs.totals(**NOVEMBER, scope=ALL)

    def test_know_no_margin_where_a_basis_is_not_whole(self):
        use(at(3), model="chat", version="chat-v9", team="a", input_tokens=5, cached_input_tokens=0)
        use(at(3), model="unseen", version="unseen-v1", input_tokens=5, cached_input_tokens=0)
        use(at(3), model="", version="", input_tokens=5, cached_input_tokens=0)
        use(at(3), model="refused", version="", input_tokens=0, cached_input_tokens=0,
            output_tokens=0)  # fmt: skip
        found = {line.model: line for line in self.found().models}
        assert set(found) == {"chat", "embed", "unseen"}
        assert (found["unseen"].real_usd, found["unseen"].list_usd) == (None, None)
        assert found["unseen"].margin_usd is None and found["unseen"].unpriced == 105
        machine_of_embed = machine("lost", 25, 26, price=None)
        replica(machine_of_embed, "embed-v1", 25, 26)
        share_out(1)
        assert {line.model: line for line in self.found().models}["embed"].margin_usd is None

    def test_show_a_team_its_own(self):
        found = self.found(Scope("b"))
        assert [line.model for line in found.models] == ["embed", "chat"]
        assert found.others == []
        assert found.models[0].list_usd == 2

    def test_take_one_query(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            costs.machines(**NOVEMBER, scope=ALL, listed=[])


@pytest.mark.usefixtures("month")
class TestDays:
    def test_tell_what_became_of_each_day_and_sum_to_the_month(self):
        found = costs.days(**NOVEMBER)
        assert list(found) == [date(2026, 11, 2), date(2026, 11, 3)]
        monday, tuesday = found.values()
        assert (sum(monday.values()), sum(tuesday.values())) == (Decimal("21.5"), 4)
        assert tuesday == {"WORK": 2, "IDLE": 2, "START": 0, "UNALLOCATED": 0, "PLATFORM": 0,
                           "RESIDUAL": 0}  # fmt: skip
        total = costs.totals(**NOVEMBER, scope=ALL)
        for kind in monday:
            assert monday[kind] + tuesday[kind] == getattr(total, f"{kind.lower()}_usd")

    def test_are_those_of_the_period(self, django_assert_num_queries):
        day = timedelta(days=1)
        with django_assert_num_queries(1):
            assert list(costs.days(start=START + day, end=START + 2 * day)) == [date(2026, 11, 2)]
        assert costs.days(start=END, end=END + day) == {}


@pytest.mark.usefixtures("month")
class TestKnown:
    def test_tells_what_is_not_known(self):
        use(at(40), version="chat-v7")
        share_out(1)
        ChangedDay.objects.create(day=date(2026, 11, 2), changed_at=END)
        ChangedDay.objects.create(day=date(2026, 12, 1), changed_at=END)
        found = costs.known(**NOVEMBER)
        assert (found.until, found.changing) == (at(48), 1)
        assert (found.unpriced_seconds, found.unobserved_seconds) == (3600, 3600)
        assert found.unplaced_tokens == 1100
        assert not found.has_simulated_machines and not found.has_simulated_prices

    def test_tells_what_is_simulated(self):
        machine("kwok", 50, 51, provider_id="kwok://x", price_basis="simulated-spot")
        share_out(2)
        found = costs.known(**NOVEMBER)
        assert found.has_simulated_machines and found.has_simulated_prices

    def test_of_a_period_without_a_day_is_nothing(self):
        found = costs.known(start=END, end=END + timedelta(days=3))
        assert (found.until, found.changing, found.unplaced_tokens) == (None, 0, 0)
        assert not found.has_simulated_prices
