"""Many gates at once: on one budget, over many, with a worker beside them, killed in a turn."""

import asyncio
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import Sum

from apps.access.holds.models import BudgetReservation, Counter, SettledCall
from apps.gateway.gate.refusals import Refusal
from apps.gateway.purse import upkeep
from apps.gateway.purse.turns import LEASE, Limit, Whose
from apps.integrations.postgres import direct
from tests.factories import CostCenterFactory, RegisteredModelFactory, TeamFactory
from tests.gateway.purse import spenders
from tests.gateway.purse.test_purse import Clock, close_after, load, purse_of
from tests.gateway.purse.worlds import AT, a_call, grant, put

START = datetime(2026, 11, 1, tzinfo=UTC)
TEAMS, MODELS, CENTERS = ("claims", "prior"), ("summary", "extract"), ("CC-1", "CC-2")
GATES, GATE_NAME = 8, "quartermaster-gate"


@pytest.fixture
def teams(committed):
    centers = {code: CostCenterFactory(code=code) for code in CENTERS}
    return {slug: TeamFactory(slug=slug, cost_center=centers["CC-1"]) for slug in TEAMS} | centers


def plan(seed, **changes):
    values = {
        "address": direct.address(seconds=30), "at": AT, "calls": 150,
        "at_once": 25, "most": Decimal(2), "seed": seed,
        "whoses": [Whose(AT, "CC-1", "claims", model) for model in MODELS],
    }  # fmt: skip
    return spenders.Plan(**values | changes)


_MATCHES = " AND ".join(
    f"(c.{name} = '' OR o.{name} = c.{name})" for name in ("cost_center", "team", "model")
)


def sums_agree():
    """Tell that every counter is the sum of the rows of calls, in one moment."""
    with connection.cursor() as cursor:
        cursor.execute(f"""
            SELECT c.cost_center, c.reserved, c.used,
                COALESCE((SELECT SUM(o.usd) FROM access_budgetreservation o WHERE {_MATCHES}), 0),
                COALESCE((SELECT SUM(o.usd) FROM access_settledcall o WHERE {_MATCHES}), 0)
            FROM access_counter c WHERE c.kind = 'USD'""")  # noqa: S608
        rows = cursor.fetchall()
    assert rows
    for _, reserved, used, held, settled in rows:
        assert (reserved, used) == (held, settled)
    return rows


def test_eight_gates_on_one_budget_spend_it_and_never_more(teams):
    limit = Decimal(300)
    put(limit, team=teams["claims"])
    limits = spenders.of_team(START, limit)
    seen = []

    def look():
        row = Counter.objects.get(kind="USD")
        seen.append(row.reserved + row.used)

    found = spenders.in_processes([plan(seed, limits=limits) for seed in range(GATES)], look)
    assert len(seen) > 5
    assert max(seen) <= limit, spenders.show(found)
    refused = [each for one in found for each in one.refused]
    assert refused, spenders.show(found)
    for wanted, taken in refused:
        assert taken <= limit < taken + wanted
    row = Counter.objects.get(kind="USD")
    assert row.reserved == 0 and not BudgetReservation.objects.exists()
    assert row.used == sum(one.used for one in found)
    assert row.used == SettledCall.objects.aggregate(sum=Sum("usd"))["sum"]
    assert limit - row.used < 2  # nothing that would have fitted is left over
    assert {one.tried_again for one in found} == {0}


def test_gates_over_many_budgets_and_a_worker_wait_for_each_other_and_never_in_a_ring(teams):
    for code in CENTERS:
        put(50, cost_center=teams[code])
    for slug in TEAMS:
        put(60, team=teams[slug])
        put(10_000, team=teams[slug], unit="TOKENS")
    dice = random.Random(5)  # noqa: S311 - a history that is the same each time
    plans = []
    for seed in range(GATES):
        whoses = [
            Whose(AT + timedelta(seconds=dice.randint(0, 90)), *names)
            for names in ((c, t, m) for c in CENTERS for t in TEAMS for m in MODELS)
        ]
        limits = [Limit("USD", 1, START, Decimal(50)), Limit("USD", 2, START, Decimal(60))]
        plans.append(plan(seed, whoses=whoses, limits=limits))
    drifted = []

    def keep():
        drifted.extend(upkeep.keep_counters(now=AT))
        upkeep.give_back_expired(now=AT)

    found = spenders.in_processes(plans, keep)
    assert {one.tried_again for one in found} == {0}
    assert drifted == []
    rows = sums_agree()
    assert {row[1] for row in rows} == {0}
    assert all(row[2] <= (50 if row[0] else 60) for row in rows)


@pytest.mark.parametrize("after", [0.15, 0.4, 0.7])
def test_a_gate_that_is_killed_in_a_turn_leaves_whole_turns_and_leases_that_end(teams, after):
    limit = Decimal(100_000)
    put(limit, team=teams["claims"])
    limits = spenders.of_team(START, limit)
    never = plan(1, limits=limits, calls=100_000, at_once=200)
    process, _ = spenders.start(lambda: spenders.spend(never))
    while not BudgetReservation.objects.exists():
        time.sleep(0.01)
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _wait_for_its_connections()
    held = BudgetReservation.objects.count()
    assert held
    sums_agree()
    assert upkeep.give_back_expired(now=AT + LEASE - timedelta(seconds=1)) == []
    assert len(upkeep.give_back_expired(now=AT + LEASE)) == held
    sums_agree()
    assert Counter.objects.get(kind="USD").reserved == 0
    assert Counter.objects.get(kind="CALLS", model="summary").reserved == 0


def _wait_for_its_connections():
    """Wait until the database noticed that the gate has gone."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [GATE_NAME]
            )
            if cursor.fetchone() == (0,):
                return
        time.sleep(0.02)
    raise AssertionError("a connection of the killed gate stays")


def test_gates_that_know_a_budget_since_different_times_count_in_it_alike(teams):
    model = RegisteredModelFactory(name="summary", owner_team=teams["prior"], context_length=4000)
    grant(teams["claims"], model, tokens=1_000_000)
    old_limit, new_limit, bound = 5000, 1500, 622
    put(old_limit, unit="TOKENS", team=teams["claims"])
    clock = Clock()

    async def work():
        async with purse_of(clock) as old, purse_of(clock) as new:
            await old.reserve(a_call())
            # a second budget, which one of the gates knows first
            scope = {"cost_center": teams["CC-1"]}
            await asyncio.to_thread(close_after, lambda: set_late(new_limit, scope))
            await load(new, clock.at)
            await old.reserve(a_call())
            counted = await asyncio.to_thread(close_after, tokens_of_cost_center)
            assert (
                counted == 2 * bound
            )  # what was held before it was there, and by who knows it not
            for _ in range(2):
                try:
                    await new.reserve(a_call())
                except Refusal as refusal:
                    assert "cost center CC-1" in refusal.message
                else:
                    raise AssertionError("it had too little left")
            await old.reserve(a_call())  # for as long as it does not know
            await load(old, clock.at)
            try:
                await old.reserve(a_call())
            except Refusal as refusal:
                assert "cost center CC-1" in refusal.message
            else:
                raise AssertionError("it knows by now")

    asyncio.run(work())
    assert tokens_of_cost_center() == 3 * bound


def set_late(amount, scope):
    """Set a budget now."""
    put(amount, unit="TOKENS", since=AT, ready=False, **scope)


def tokens_of_cost_center():
    return Counter.objects.get(kind="TOKENS", cost_center="CC-1").reserved
