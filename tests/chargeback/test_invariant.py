"""One ledger, many doors: pages, files, API, FOCUS rows and statements say the same to the cent,
and parts sum to their whole, whatever was used, priced, came late, was closed and corrected.
"""

import csv
import io
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Decimal

from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from rest_framework.test import APIClient

from apps.chargeback import costs, ledger, queries
from apps.chargeback.closing import queries as closes
from apps.chargeback.closing.models import Statement, StatementLine
from apps.chargeback.closing.statements import COST, LIST
from apps.chargeback.focus import export
from apps.chargeback.models import EstimateRule
from apps.chargeback.rating import Prices
from apps.common.periods import DAY, HOUR, month_bounds
from tests.chargeback import months
from tests.chargeback.months import NOVEMBER, OCTOBER
from tests.chargeback.pricing import finance, price
from tests.factories import RegisteredModelFactory
from tests.fleet.machines import machine, replica

ALL = queries.EVERYTHING
LATER = months.AFTER + 30 * DAY
CENT, NOTHING = Decimal("0.01"), Decimal(0)
TEAMS = (("claims-review", "CC-1"), ("prior-auth", "CC-2"), ("appeals", "CC-2"))
amounts = st.decimals("0", "9", places=10).map(Decimal)
price_lists = st.builds(Prices, amounts, amounts, amounts)


@st.composite
def uses(draw):
    """An hour of a month, a model, a team, and what it used: cached input is part of the input."""
    tokens = draw(st.integers(1, 10**9))
    return {
        "at": draw(st.integers(0, 4 * 24 - 1)),
        # how the ledger learns of it: by its answer, by the gate up to where it was cut, as the
        # gate's estimate, or by the gate alone, for no line of the access log came
        "how": draw(st.sampled_from(("told", "cut", "guessed", "settled"))),
        "model": draw(st.sampled_from(("chat", "embed"))),
        "team": draw(st.sampled_from(TEAMS)),
        "counts": {
            "input_tokens": tokens,
            "cached_input_tokens": draw(st.integers(0, tokens)),
            "output_tokens": draw(st.integers(0, 10**8)),
        },
    }


def used_once(found):
    """Return the uses of different hours, models and teams: an hour has one sum of each."""
    return list({(one["at"], one["model"], one["team"]): one for one in found}.values())


worlds = st.fixed_dictionaries(
    {
        "first": price_lists,
        "prices_estimates": st.booleans(),
        "second": price_lists,
        "changes_at": st.integers(1, 4 * 24),
        "machine": st.decimals("0.01", "99", places=4).map(Decimal),
        "runs": st.integers(2, 50),
        "october": st.lists(uses(), min_size=1, max_size=6).map(used_once),
        "november": st.lists(uses(), max_size=3).map(used_once),
        "late": st.lists(uses(), min_size=1, max_size=3).map(used_once),
    }
)


def use(month, one, *, late=False):
    """Let a call be made. late: by a team of its own."""
    team, cost_center = one["team"]
    hour = month_bounds(month)[0] + one["at"] * HOUR
    name = f"{team}-late" if late else team
    call = {"told": months.really_call, "cut": months.cut_call, "guessed": months.guessed_call,
            "settled": months.settled_call}[one["how"]]  # fmt: skip
    call(one["model"], hour, name, cost_center, **one["counts"])


def total(values):
    return sum((Decimal(value) for value in values if value not in (None, "")), NOTHING)


def read(answer):
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


class Doors:
    """What each door says of a month, as one of finance sees it."""

    def __init__(self, month):
        self.month, self.person = month, finance("reads")
        self.period = dict(zip(("start", "end"), month_bounds(month), strict=True))

    def api(self):
        client = APIClient()
        client.force_authenticate(self.person)
        return client.get(f"/api/v1/chargeback/{self.month:%Y-%m}").json()

    def file(self, **asked):
        client = Client()
        client.force_login(self.person)
        asked = {"month": f"{self.month:%Y-%m}", "format": "csv"} | asked
        return read(client.get("/chargeback/", asked))

    def list_usd(self):
        """Return door → the month's total by the price list, exact."""
        lines = queries.lines(**self.period, scope=ALL)
        by_day = queries.day_totals(**self.period, scope=ALL).values()
        teams = {line.team for line in lines}
        each = [queries.month_totals(month=self.month, scope=queries.Scope(t)) for t in teams]
        skus = [queries.spend_by_sku(model=model, **self.period) for model in ("chat", "embed")]
        known = ledger.known(self.month)
        return {
            "page": queries.month_totals(month=self.month, scope=ALL).list_cost_usd,
            "lines": queries.totals(lines).list_cost_usd,
            "days": total(day.list_cost_usd for day in by_day),
            "teams": total(team.list_cost_usd for team in each),
            "skus": total(use.list_cost_usd for found in skus for use in found),
            "api": total(line["list_cost_usd"] for line in self.api()["lines"]),
            "file": total(row["list_usd"] for row in self.file(by="line")),
            "ledger": total(amount.usd for key, amount in known.items() if key.basis == LIST),
        }

    def cost_usd(self):
        """Return door → what the month's machines cost, exact."""
        known = ledger.known(self.month)
        asked = self.api()["machines"]
        kinds = ("work", "idle", "start", "unallocated", "platform", "residual")
        return {
            "page": costs.totals(**self.period, scope=ALL).total_usd,
            **{
                by: costs.added(
                    line.costs for line in costs.lines(**self.period, scope=ALL, by=[by])
                ).total_usd
                for by in ("day", "team", "model", "kind", "gpu_name")
            },
            "api": Decimal(asked["total_usd"]),
            "parts": total(asked[f"{kind}_usd"] for kind in kinds),
            "ledger": total(amount.usd for key, amount in known.items() if key.basis == COST),
        }

    def focus(self, basis, column="EffectiveCost", *, corrections=False):
        return total(
            row[column]
            for row in export.rows(self.month, basis)
            if corrections or row.get("ChargeClass") is None
        )


def one_of(found):
    """Return what every door says. Fails where two say different things."""
    assert len(set(found.values())) == 1, found
    return next(iter(found.values()))


def agree_on(month):
    """Hold every door against every other; return both totals, exact."""
    doors = Doors(month)
    return one_of(doors.list_usd()), one_of(doors.cost_usd())


def hold_closed(close):
    """Hold the statements of a close against each other, their lines and the FOCUS rows."""
    statements = list(Statement.objects.filter(close=close).select_related("close"))
    for basis, name in ((LIST, "list_usd"), (COST, "cost_usd")):
        lines = StatementLine.objects.filter(statement__close=close, basis=basis)
        exact = total(lines.values_list("exact_usd", flat=True))
        whole = total(getattr(statement, name) for statement in statements)
        assert whole == getattr(close, name) == exact.quantize(CENT, ROUND_HALF_EVEN)
        billed = defaultdict(Decimal)
        for row in export.rows(close.month, basis):
            billed[row["InvoiceId"]] += row["BilledCost"]
        for statement in statements:
            owed = getattr(statement, name)
            own = statement.lines.filter(basis=basis)
            assert total(own.values_list("amount_usd", flat=True)) == owed
            assert billed.pop(statement.number, NOTHING) == owed
            attached = export.statement_rows(statement, basis)
            assert total(row["BilledCost"] for row in attached) == owed
        assert not billed


def tell(world):
    """Live two months: use, price, share out, close, hear of late use, close and correct again."""
    EstimateRule.objects.create(
        month=OCTOBER, prices_estimates=world["prices_estimates"], reason="As agreed.",
        set_by=finance("rules"), set_at=months.START - DAY,
    )  # fmt: skip
    for name, size in (("chat", 8_030_000_000), ("embed", 135_000_000)):
        model = RegisteredModelFactory(name=name, parameter_count=size)
        price(model, world["first"], months.START)
        if world["second"] != world["first"]:  # what changes nothing is refused
            price(model, world["second"], months.START + world["changes_at"] * HOUR)
    big = machine("big", months.FIRST, months.FIRST + world["runs"], price=world["machine"])
    replica(big, "chat-v1", months.FIRST, months.FIRST + world["runs"], ready=months.FIRST + 1)
    for one in world["october"]:
        use(OCTOBER, one)
    for one in world["november"]:
        use(NOVEMBER, one)
    months.settled()


# An example lives two months, which takes seconds: a few random ones, as they are found.
class TestDoors(TestCase):
    """Each example in a transaction of its own."""

    @settings(
        max_examples=3,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(worlds)
    def test_say_the_same_and_parts_sum_to_their_whole(self, world):
        tell(world)
        before = agree_on(OCTOBER)
        doors = Doors(OCTOBER)
        assert (doors.focus(LIST), doors.focus(COST)) == before
        first = months.closed()
        hold_closed(first)
        assert (doors.focus(LIST), doors.focus(COST)) == before

        for one in world["late"]:
            use(OCTOBER, one, late=True)
        months.settled(LATER)
        after = agree_on(OCTOBER)
        hold_closed(first)  # whatever came late, the month is what was billed
        assert (doors.focus(LIST), doors.focus(COST)) == before
        late = Doors(NOVEMBER)
        agree_on(NOVEMBER)
        pending = [line for draft in closes.preview(NOVEMBER) for line in draft.lines]
        corrected = [line for line in pending if line.key.usage_month == OCTOBER]
        assert total(x.amount.usd for x in corrected if x.key.basis == LIST) == after[0] - before[0]
        assert total(x.amount.usd for x in corrected if x.key.basis == COST) == after[1] - before[1]
        open_rows = late.focus(LIST, corrections=True), late.focus(COST, corrections=True)

        second = months.closed(NOVEMBER, now=LATER)
        hold_closed(second)
        assert (late.focus(LIST, corrections=True), late.focus(COST, corrections=True)) == open_rows
        assert ledger.billed(OCTOBER) == ledger.known(OCTOBER)
        assert closes.preview(NOVEMBER + 31 * DAY) == []
