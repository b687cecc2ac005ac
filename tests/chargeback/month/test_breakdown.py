"""A month by whom it belongs to, on both bases: two teams, two models, added up by hand."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.chargeback import costs, queries
from apps.chargeback.actions import allocate_day, price_due_days
from apps.chargeback.month import breakdown
from apps.chargeback.month.breakdown import LEVELS, WHOLE_LINE, Path
from apps.chargeback.queries import Scope
from apps.chargeback.rating import Prices
from tests.chargeback.pricing import price
from tests.chargeback.test_queries import END, START, use
from tests.factories import RegisteredModelFactory
from tests.fleet.machines import at, machine, replica

pytestmark = pytest.mark.django_db
NOVEMBER = date(2026, 11, 1)
MILLION = 1_000_000


@pytest.fixture
def month():
    """On 2 Nov chat has a GPU of $4 for two hours, the first of them starting, and embed one of $2
    for two hours, the second without a call; one of $1 stands for nobody. Team a's call to chat is
    a million input tokens, team b's three, at $1; b's to embed has no price.
    """
    chat, _ = RegisteredModelFactory(name="chat"), RegisteredModelFactory(name="embed")
    price(chat, Prices(Decimal(1), Decimal(1), Decimal(1)), START)
    replica(machine("m1", 0, 2, price="4", gpus=1), "chat-v1", 0, 2, ready=1)
    replica(machine("m2", 0, 2, price="2", gpus=1), "embed-v1", 0, 2)
    machine("m3", 0, 1, price="1", gpus=1)
    fresh = {"cached_input_tokens": 0, "output_tokens": 0}
    call(1, "a", "chat", input_tokens=MILLION, **fresh)
    call(1, "b", "chat", input_tokens=3 * MILLION, **fresh)
    call(0, "b", "embed", input_tokens=MILLION, **fresh)
    use(at(5), team="", cost_center="", model="", version="", metered_calls=0, refused_calls=2,
        refused_401_calls=2, input_tokens=0, **fresh)  # fmt: skip
    price_due_days()
    allocate_day(day=date(2026, 11, 2), now=at(24))


def call(hour, team, model, **counts):
    use(at(hour), team=team, cost_center=f"CC-{team}", model=model, version=f"{model}-v1", **counts)


def lines(path, *dimensions):
    found = breakdown.lines(path, dimensions or path.dimensions)
    rows = [breakdown.row_of(each) for each in found.order_by(*(dimensions or path.dimensions))]
    return {
        tuple(getattr(row, name) for name in (dimensions or path.dimensions)): row for row in rows
    }


def money(rows):
    return {name: (row.list_usd, row.real_usd, row.margin_usd) for name, row in rows.items()}


@pytest.mark.usefixtures("month")
class TestLines:
    def test_begin_with_cost_centers_beside_what_is_nobodys(self):
        assert money(lines(Path(NOVEMBER))) == {
            ("IDLE", ""): (0, 2, -2),
            ("START", ""): (0, 4, -4),
            ("UNALLOCATED", ""): (0, 1, -1),
            ("WORK", ""): (0, 0, 0),
            ("WORK", "CC-a"): (1, 1, 0),
            ("WORK", "CC-b"): (3, 5, None),  # embed has no price
        }

    def test_lead_down_to_days(self):
        path = Path(NOVEMBER)
        for name in (("WORK", "CC-b"), ("b",), ("chat",), ("chat-v1",)):
            path = path.into(lines(path)[name])
        assert path == Path(NOVEMBER, cost_center="CC-b", team="b", model="chat", version="chat-v1")
        assert path.level == "day"
        assert money(lines(path)) == {(date(2026, 11, 2),): (3, 3, 0)}

    def test_lead_from_what_is_nobodys_to_its_models_at_once(self):
        path = Path(NOVEMBER)
        start = path.into(lines(path)["START", ""])
        assert (start.level, money(lines(start))) == ("model", {("chat",): (0, 4, -4)})
        empty = path.into(lines(path)["UNALLOCATED", ""])
        assert (empty.level, money(lines(empty))) == ("day", {(date(2026, 11, 2),): (0, 1, -1)})

    def test_of_a_model_hold_who_used_it_and_its_idle_time(self):
        assert money(lines(Path(NOVEMBER, model="embed"))) == {
            ("IDLE", ""): (0, 2, -2),
            ("WORK", "CC-b"): (None, 2, None),
        }

    def test_count_calls_tokens_and_gpu_hours(self):
        row = lines(Path(NOVEMBER), "team")["b",]
        assert (row.metered_calls, row.input_tokens, row.unpriced_tokens) == (2, 4 * MILLION,
                                                                             MILLION)  # fmt: skip
        assert row.gpu_hours == Decimal("1.75")
        assert lines(Path(NOVEMBER))["WORK", ""].refused_401_calls == 2

    def test_of_a_team_are_its_own(self):
        path = Path(NOVEMBER, Scope("a"))
        assert money(lines(path)) == {("WORK", "CC-a"): (1, 1, 0)}
        assert path.into(lines(path)["WORK", "CC-a"]).level == "model"
        assert lines(Path(NOVEMBER, Scope("a"), team="b")) == {}

    def test_of_another_month_are_none(self):
        assert lines(Path(date(2026, 10, 1))) == {}
        assert breakdown.whole(Path(date(2026, 10, 1))) is None

    def test_do_not_know_the_cost_of_calls_whose_machine_nobody_saw(self):
        call(30, "a", "other", input_tokens=5, cached_input_tokens=0, output_tokens=0)
        price_due_days()
        assert money(lines(Path(NOVEMBER, model="other")))["WORK", "CC-a"] == (None, None, None)

    def test_tell_what_has_no_price_apart_from_what_costs_nothing(self):
        replica(machine("m4", 5, 6, price=None, gpus=1), "chat-v1", 5, 6)
        allocate_day(day=date(2026, 11, 2), now=at(24))
        idle = lines(Path(NOVEMBER))["IDLE", ""]
        assert (idle.real_usd, idle.margin_usd, idle.unpriced_gpu_hours) == (2, None, 1)
        chat = lines(Path(NOVEMBER, kind="IDLE"))["chat",]
        assert (chat.real_usd, chat.margin_usd) == (None, None)


@pytest.mark.usefixtures("month")
class TestWhole:
    def test_is_what_both_bases_come_to(self):
        whole = breakdown.whole(Path(NOVEMBER))
        assert (whole.list_usd, whole.real_usd, whole.margin_usd) == (4, 13, None)
        bounds = {"start": START, "end": END, "scope": queries.EVERYTHING}
        assert costs.totals(**bounds).total_usd == whole.real_usd
        assert queries.totals(queries.lines(**bounds)).list_cost_usd == whole.list_usd

    def test_is_the_sum_of_lines_by_whatever(self):
        whole = breakdown.whole(Path(NOVEMBER))
        for dimensions in (*((name,) for name in ("kind", *LEVELS)), WHOLE_LINE):
            rows = lines(Path(NOVEMBER), *dimensions).values()
            assert sum(row.real_usd or 0 for row in rows) == whole.real_usd
            assert sum(row.list_usd or 0 for row in rows) == whole.list_usd
            assert sum(row.gpu_hours for row in rows) == whole.gpu_hours


class TestAnything:
    """Whatever was used and ran: every way down sums to the same total, on both bases."""

    @settings(max_examples=12,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(st.lists(
        st.tuples(st.integers(0, 71), st.sampled_from("abc"), st.sampled_from(["chat", "embed"]),
                  st.integers(1, 10**9), st.decimals("0.01", "99", places=2)),
        min_size=1, max_size=8, unique_by=lambda one: one[0],
    ))  # fmt: skip
    def test_sums_to_the_total(self, used):
        from django.db import transaction

        with transaction.atomic():
            self.check(used)
            transaction.set_rollback(True)

    def check(self, used):
        models = {name: RegisteredModelFactory(name=name) for name in ("chat", "embed")}
        price(models["chat"], Prices(Decimal("0.3"), Decimal("0.03"), Decimal("1.7")), START)
        for hour, team, model, tokens, usd in used:
            begin = hour + Decimal("0.1") * (hour % 3)
            claim = machine(f"m{hour}", float(begin), hour + 1.5, price=str(usd), gpus=2)
            replica(claim, f"{model}-v1", float(begin), hour + 1.4, ready=float(begin) + 0.2)
            call(hour, team, model, input_tokens=tokens, cached_input_tokens=tokens // 3)
        price_due_days()
        for day in (2, 3, 4, 5):
            allocate_day(day=date(2026, 11, day), now=at(24 * 9))
        whole = breakdown.whole(Path(NOVEMBER))
        assert (
            whole.real_usd == costs.totals(start=START, end=END, scope=queries.EVERYTHING).total_usd
        )
        for dimensions in (("kind", "cost_center"), ("team",), ("model",), ("day",), WHOLE_LINE):
            rows = lines(Path(NOVEMBER), *dimensions).values()
            assert sum(row.real_usd or 0 for row in rows) == whole.real_usd
            assert sum(row.list_usd or 0 for row in rows) == (whole.list_usd or 0)
        self.descend(Path(NOVEMBER), whole.real_usd)

    def descend(self, path, whole_usd):
        rows = lines(path).values()
        assert sum(row.real_usd or 0 for row in rows) == (whole_usd or 0)
        for row in rows if path.level != "day" else ():
            self.descend(path.into(row), row.real_usd)
