"""What a run's machines may have cost: never less than they did, and no figure where none is
known.
"""

from datetime import timedelta
from decimal import Decimal

from apps.evals.runs.costs import expected, spent
from tests.factories import NOW

PRICES = {"g5.xlarge": Decimal("1.006"), "p5.48xlarge": Decimal("55.04")}


def machine(kind, hours):
    return {"instance_type": kind, "since": (NOW - timedelta(hours=hours)).isoformat()}


class TestSpent:
    def test_counts_each_machine_from_its_launch(self):
        machines = {"CANDIDATE": machine("g5.xlarge", 2), "BASELINE": machine("p5.48xlarge", 0.5)}
        assert spent(machines, PRICES.get, NOW) == Decimal("29.5320")

    def test_counts_those_whose_place_a_machine_took(self):
        left = machine("p5.48xlarge", 3) | {"until": (NOW - timedelta(hours=2.5)).isoformat()}
        machines = {"CANDIDATE": machine("g5.xlarge", 2) | {"earlier": [left]}}
        assert spent(machines, PRICES.get, NOW) == Decimal("29.5320")
        left["instance_type"] = "own-rack"
        assert spent(machines, PRICES.get, NOW) is None

    def test_is_nothing_where_no_machine_was_seen(self):
        assert spent({}, PRICES.get, NOW) == 0

    def test_is_unknown_where_one_has_no_price(self):
        machines = {"CANDIDATE": machine("g5.xlarge", 2), "BASELINE": machine("own-rack", 2)}
        assert spent(machines, PRICES.get, NOW) is None

    def test_is_never_below_zero_where_clocks_differ(self):
        assert spent({"CANDIDATE": machine("g5.xlarge", -1)}, PRICES.get, NOW) == 0


class TestExpected:
    def test_is_the_price_of_all_for_so_long(self):
        found = expected(["g5.xlarge", "g5.xlarge"], PRICES.get, timedelta(minutes=30))
        assert found == Decimal("1.0060")

    def test_is_unknown_without_a_price_or_a_machine(self):
        assert expected(["g5.xlarge", "own-rack"], PRICES.get, timedelta(hours=1)) is None
        assert expected([], PRICES.get, timedelta(hours=1)) is None
