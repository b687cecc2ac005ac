"""What is told of plans: which big tables are read from end to end, and by what the others are."""

from tests.benchmarks import plans
from tests.benchmarks.stopwatch import p95


def scan(table, kind="Seq Scan", loops=1, **more):
    return {"Node Type": kind, "Relation Name": table, "Actual Loops": loops, **more}


def plan(*below):
    return {"Node Type": "Append", "Actual Loops": 1, "Plans": list(below)}


SIZES = {"calls_1": 90_000, "calls_2": 90_000, "people": 40}


class TestScans:
    def test_are_of_big_tables_alone(self):
        found = plans.scans([plan(scan("calls_1"), scan("people"))], SIZES)
        assert found == {"calls_1": 90_000}

    def test_are_found_below_other_nodes_and_in_every_plan(self):
        deep = plan(plan(scan("calls_2")))
        assert set(plans.scans([plan(scan("calls_1")), deep], SIZES)) == {"calls_1", "calls_2"}

    def test_leave_out_what_an_index_served_or_nobody_ran(self):
        by_index = scan("calls_1", "Index Scan", **{"Index Name": "by_day"})
        assert plans.scans([plan(by_index, scan("calls_2", loops=0))], SIZES) == {}


class TestReads:
    def test_tell_each_way_once_in_order(self):
        by_day = scan("calls_1", "Index Scan", **{"Index Name": "by_day"})
        found = plans.reads(plan(by_day, scan("people"), by_day, scan("calls_2", loops=0)))
        assert found == ("Index Scan by by_day", "Seq Scan of people")


class TestP95:
    def test_is_a_time_that_was_measured(self):
        assert p95([float(each) for each in range(20, 0, -1)]) == 19.0
        assert p95([3.0]) == 3.0
        assert p95([5.0, 1.0]) == 5.0
