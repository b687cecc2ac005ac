"""A month's money as pictures."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from apps.chargeback import costs
from apps.chargeback.month import pictures
from apps.chargeback.queries import EVERYTHING, Scope
from tests.chargeback.november import machines_of_november
from tests.fleet.machines import at, machine

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def line(usd, *, kind="WORK", gpu_name="", model="", cost_center="", basis=""):
    return (gpu_name, model, cost_center, kind, basis), Decimal(usd)


def flows(*lines):
    found = pictures.flow(dict(lines), hues={}, is_simulated=False)
    return {(flow.source, flow.target): flow.value for flow in found.flows}


class TestFlow:
    def test_leads_from_cards_over_models_to_cost_centers(self):
        assert flows(
            line(3, gpu_name="h100", model="chat", cost_center="CC-1"),
            line(2, gpu_name="l40s", model="chat", cost_center="CC-2"),
            line(5, gpu_name="l40s", model="embed", cost_center="CC-2"),
        ) == {
            ("H100", "chat"): 3,
            ("L40S", "chat"): 2,
            ("L40S", "embed"): 5,
            ("chat", "CC-1"): 3,
            ("chat", "CC-2"): 2,
            ("embed", "CC-2"): 5,
        }

    def test_ends_where_nobody_pays(self):
        assert flows(
            line(1, gpu_name="h100", model="chat", kind="IDLE"),
            line(2, gpu_name="h100", model="chat", kind="START"),
            line(3, gpu_name="h100", model="chat", basis="EVALUATION"),
            line(4, gpu_name="h100", model="chat"),
            line(5, gpu_name="h100", kind="UNALLOCATED"),
            line(6, kind="PLATFORM"),
            line(7, gpu_name="h100", kind="RESIDUAL"),
        ) == {
            ("H100", "chat"): 10,
            ("chat", "Idle and starting"): 3,
            ("chat", "Evaluations"): 3,
            ("chat", "Cost center not named"): 4,
            ("H100", "GPUs without a replica"): 5,
            ("No GPU, or not known which", "Platform"): 6,
            ("H100", "Residual"): 7,
        }

    def test_keeps_apart_what_has_the_same_name(self):
        assert flows(line(1, gpu_name="x", model="X", cost_center="X")) == {
            ("X", "X (model)"): 1,
            ("X (model)", "X (cost center)"): 1,
        }

    def test_gathers_the_small_ones_and_loses_nothing(self):
        many = [
            line(100 - number, gpu_name="h100", model=f"m{number}", cost_center=f"CC-{number}")
            for number in range(15)
        ]
        found = flows(*many, line("0.5", gpu_name="h100", model="m0", kind="IDLE"))
        assert found["H100", "Other models"] == sum(100 - number for number in range(9, 15))
        assert found["m0", "Idle and starting"] == Decimal("0.5")
        models = {target for source, target in found if source == "H100"}
        assert len(models) == pictures.SHOWN + 1
        assert sum(usd for (source, _), usd in found.items() if source == "H100") == sum(
            usd for (source, _), usd in found.items() if source != "H100"
        )


@pytest.mark.usefixtures("november")
class TestDays:
    def days(self, scope=EVERYTHING):
        found = pictures.days(START, END, scope=scope, hues={"prior-auth-extract": 3},
                              is_simulated=False)  # fmt: skip
        return found, {series.name: series for series in found.series}

    @pytest.fixture(autouse=True)
    def machines(self, november):
        from apps.chargeback import actions

        machines_of_november()
        machine("later", 53, 54, price="4")
        actions.allocate_day(day=at(53).date(), now=at(90))

    def test_stack_what_became_of_the_time_and_leave_days_without_it_empty(self):
        chart, series = self.days()
        assert [day.day for day in chart.at] == [2, 3, 4]
        assert {name: list(each.values) for name, each in series.items()} == {
            "Used by calls": [2, None, 0],
            "Idle replicas": [3, None, 0],
            "Starting replicas": [1, None, 0],
            "GPUs without a replica": [10, None, 4],
            "Residual": [3, None, 0],
        }
        looks = {name: each.look for name, each in series.items() if each.look}
        assert looks == {"Idle replicas": "idle", "GPUs without a replica": "unallocated"}

    def test_sum_to_the_month(self):
        _, series = self.days()
        total = sum(value or 0 for each in series.values() for value in each.values)
        assert total == costs.totals(start=START, end=END, scope=EVERYTHING).total_usd

    def test_show_a_team_its_models_in_their_colors(self):
        _, series = self.days(Scope("claims-review"))
        assert {name: (list(each.values), each.hue) for name, each in series.items()} == {
            "prior-auth-extract": ([2, None, 0], 3)
        }
