"""The gate's step over a real database: what callers hear, and what stays behind."""

import asyncio
import uuid
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection

from apps.access.budgets.models import Boost, Budget
from apps.access.holds.models import BudgetReservation, Counter, SettledCall
from apps.chargeback.rating import Prices
from apps.gateway.gate.answers import NOTHING_USED
from apps.gateway.gate.refusals import Refusal
from apps.gateway.gate.steps import Away
from apps.gateway.gate.transaction import Steps, Transaction
from apps.gateway.purse.purse import Budgets
from apps.gateway.purse.turns import LEASE, Settled
from apps.gateway.purse.writer import Writer
from apps.integrations.postgres import direct
from tests import failover
from tests.chargeback.pricing import price
from tests.factories import CostCenterFactory, RegisteredModelFactory, TeamFactory, UserFactory
from tests.gateway.gate.passing import OpenGuard, OpenRecord
from tests.gateway.purse.worlds import AT, a_call, grant, put, used

DOLLARS = Prices(Decimal(1_000_000), Decimal(1_000_000), Decimal(1_000_000))  # a dollar a token
MOST = 100 + 512 + 10  # what a_call may use at most, in tokens and dollars
PORTAL = "https://portal.test"


@pytest.fixture
def world(committed):
    """Two teams of one cost center, two models with prices and grants."""
    payer = CostCenterFactory(code="CC-1")
    teams = [TeamFactory(slug=slug, cost_center=payer) for slug in ("claims", "prior")]
    models = [
        RegisteredModelFactory(name=name, owner_team=teams[1], context_length=4000)
        for name in ("summary", "extract")
    ]
    for model in models:
        price(model, DOLLARS, AT.replace(minute=0, second=0) - timedelta(days=20))
        for team in teams:
            grant(team, model, tokens=1_000_000)
    return {"payer": payer, "claims": teams[0], "prior": teams[1], "model": models[0]}


class Clock:
    """The gate's time, as a test sets it."""

    def __init__(self):
        self.at = AT

    def __call__(self):
        return self.at


@asynccontextmanager
async def purse_of(clock=None, address=None):
    clock = clock or Clock()
    found = Budgets(Writer(address or partial(direct.address, seconds=2), clock), PORTAL)
    await load(found, clock.at)
    try:
        yield found
    finally:
        await found.close()


async def load(purse, at):
    def in_thread():
        try:
            purse.load(at)
        finally:
            connection.close()

    await asyncio.to_thread(in_thread)


def refused(work):
    with pytest.raises(Refusal) as caught:
        asyncio.run(work())
    return caught.value


class TestReserve:
    def test_holds_the_most_and_settles_what_was_used(self, world):
        put(10_000, team=world["claims"])
        call, left, other = a_call(), a_call(), a_call(team="prior")

        async def work():
            async with purse_of() as purse:
                for one in (call, left, other):
                    await purse.reserve(one)
                held = await asyncio.to_thread(reserved)
                await purse.settle(call, used(50, 10), AT)
                await purse.settle(left, NOTHING_USED, AT)
                return held

        held = asyncio.run(work())
        assert held == {call.id: (MOST, MOST), left.id: (MOST, MOST), other.id: (MOST, MOST)}
        row = Counter.objects.get(kind="USD")
        assert (row.reserved, row.used) == (0, 60)
        assert [(one.call_id, one.usd, one.tokens) for one in SettledCall.objects.all()] == [
            (call.id, 60, 60)
        ]
        assert list(BudgetReservation.objects.values_list("call_id", flat=True)) == [other.id]
        row = SettledCall.objects.get()
        assert (row.operation, row.basis, row.completeness) == ("CHAT", "USAGE", "COMPLETE")
        assert (row.input_tokens, row.cached_input_tokens, row.output_tokens) == (50, None, 10)

    def test_says_402_with_the_budget_its_limit_its_reset_and_whom_to_ask(self, world):
        zone = "America/New_York"
        mine = put(2 * MOST - 1, team=world["claims"], registered_model=world["model"], zone=zone)
        put(MOST + 1, unit="TOKENS", cost_center=world["payer"])
        put(1, team=world["claims"], mode="WARN")
        put(1, team=world["prior"])

        async def work():
            async with purse_of() as purse:
                await purse.reserve(a_call())
                await purse.reserve(a_call())

        found = refused(work)
        assert (found.status, found.type, found.code) == (402,) + ("insufficient_quota",) * 2
        assert found.headers == {"x-should-retry": "false"}
        assert found.message == (
            "The monthly budget of claims for summary has too little left for this call. This call "
            "may use up to $622.00, and $621.00 of $1,243.00 is left until it begins anew on 1 Dec "
            "2026, 00:00 Eastern (New York). Too little is left for cost center CC-1 as well. Ask "
            "a team lead of claims or a model owner of prior or finance person for a boost: "
            f"https://portal.test/chargeback/budgets/{mine.series}/"
        )
        assert BudgetReservation.objects.count() == 1

    def test_of_a_budget_that_was_changed_or_boosted_keeps_what_was_used(self, world):
        clock = Clock()
        first = put(MOST, team=world["claims"])

        async def work():
            async with purse_of(clock) as purse:
                await purse.reserve(a_call())
                clock.at += timedelta(seconds=2)
                await asyncio.to_thread(change, first, MOST + 1, clock.at)
                await load(purse, clock.at)
                with pytest.raises(Refusal, match="of \\$623.00 is left"):
                    await purse.reserve(a_call(at=clock.at))
                await asyncio.to_thread(boost, first.series, MOST - 1, clock.at)
                await load(purse, clock.at)
                with pytest.raises(Refusal, match="insufficient|has too little left"):
                    await purse.reserve(a_call(at=clock.at - timedelta(microseconds=1)))
                await purse.reserve(a_call(at=clock.at))
                over = clock.at + timedelta(days=2)
                with pytest.raises(Refusal, match="of \\$623.00 is left"):
                    await purse.reserve(a_call(at=over))

        asyncio.run(work())

    def test_begins_anew_with_the_month_of_the_budgets_zone(self, world):
        clock = Clock()
        clock.at = AT.replace(month=11, day=30, hour=12)
        put(MOST, team=world["claims"], now=clock.at, zone="America/Los_Angeles")
        midnight = AT.replace(month=12, day=1, hour=8, minute=0, second=0)

        async def work():
            async with purse_of(clock) as purse:
                await purse.reserve(a_call(at=clock.at))
                before = a_call(at=midnight - timedelta(microseconds=1))
                with pytest.raises(Refusal, match="1 Dec 2026, 00:00 Pacific"):
                    await purse.reserve(before)
                await purse.reserve(a_call(at=midnight))
                with pytest.raises(Refusal, match="1 Jan 2027, 00:00 Pacific"):
                    await purse.reserve(a_call(at=midnight))

        asyncio.run(work())

    def test_says_429_with_one_time_and_lets_what_is_larger_than_a_minute_pass_alone(self, world):
        extract = RegisteredModelFactory(name="large", context_length=4000)
        grant(world["claims"], extract, tokens=600)
        at = AT + timedelta(seconds=10, microseconds=1)

        async def work():
            async with purse_of() as purse:
                first = a_call(model="large", at=AT)
                await purse.reserve(first)  # more than a minute has
                next_minute = a_call(model="large", at=AT + timedelta(seconds=30))
                await purse.reserve(next_minute)
                await purse.settle(first, used(100, 10), AT)
                await purse.reserve(a_call(model="large", at=at, body=b"", max_tokens=1))

        found = refused(work)
        assert (found.status, found.code) == (429, "budget_exceeded")
        assert found.headers["Retry-After"] == found.headers["x-ratelimit-reset"] == "20"
        assert "(limit: 600). The limit resets in 20 seconds" in found.message

    def test_says_429_while_as_many_calls_as_may_be_are_under_way(self, world):
        small = RegisteredModelFactory(name="small")
        grant(world["claims"], small, tokens=1_000_000, calls=2)
        grant(world["prior"], small, tokens=1_000_000, calls=2)

        async def work():
            async with purse_of() as purse:
                calls = [a_call(model="small") for _ in range(2)]
                for call in (*calls, a_call(model="small", team="prior")):
                    await purse.reserve(call)
                await purse.settle(calls[0], used(), AT)
                await purse.reserve(a_call(model="small"))
                await purse.reserve(a_call(model="small"))

        found = refused(work)
        assert (found.status, found.code) == (429, "too_many_calls")
        assert "has 2 calls of model small under way" in found.message

    @pytest.mark.parametrize("changes", [{"model": "other"}, {"team": "odd"}])
    def test_says_403_without_a_grant(self, world, changes):
        RegisteredModelFactory(name="other")

        async def work():
            async with purse_of() as purse:
                await purse.reserve(a_call(**changes))

        found = refused(work)
        assert (found.status, found.code) == (403, "no_grant")

    def test_says_404_of_a_model_that_there_is_not(self, world):
        async def work():
            async with purse_of() as purse:
                await purse.reserve(a_call(model="no-such-model"))

        found = refused(work)
        assert (found.status, found.code) == (404, "model_not_found")
        assert "no-such-model" in found.message

    def test_knows_a_grant_that_was_ended_since(self, world):
        clock = Clock()

        async def work():
            async with purse_of(clock) as purse:
                await purse.reserve(a_call())
                clock.at += timedelta(seconds=4)
                await asyncio.to_thread(revoke, "claims", clock.at)
                await load(purse, clock.at)
                await purse.reserve(a_call(team="prior", at=clock.at))
                await purse.reserve(a_call(at=clock.at))

        assert refused(work).code == "no_grant"

    def test_says_what_a_team_may_ask_of_a_model(self, world):
        slow = RegisteredModelFactory(name="slow", context_length=500)
        grant(world["claims"], slow, service_class="BATCH")

        async def work():
            async with purse_of() as purse:
                return [purse.bounds_of("claims", name) for name in ("summary", "slow", "none")]

        found = [(one.context, one.service_class) for one in asyncio.run(work())]
        assert found == [(4000, "interactive"), (500, "batch"), (None, "interactive")]

    def test_is_away_and_never_402_without_its_database(self, world):
        put(MOST, team=world["claims"])

        async def work():
            async with purse_of() as purse:
                purse.writer.address = lambda: "host=/nowhere dbname=none connect_timeout=2"
                with pytest.raises(Away):
                    await purse.reserve(a_call())
                purse.writer.address = partial(direct.address, seconds=2)
                await purse.reserve(a_call())

        asyncio.run(work())
        assert BudgetReservation.objects.count() == 1

    def test_loses_nothing_that_was_used_while_the_database_reads_only(self, world):
        put(10 * MOST, team=world["claims"])
        call, other = a_call(), a_call()

        async def work():
            async with purse_of() as purse:
                await purse.reserve(call)
                handing_over = failover.begins()
                await asyncio.to_thread(handing_over.__enter__)
                await purse.settle(call, used(50, 10), AT)
                with pytest.raises(Away):
                    await purse.reserve(other)
                assert await asyncio.to_thread(used_so_far) == 0
                await asyncio.to_thread(handing_over.__exit__, None, None, None)
                await purse.writer.flushed()
                await purse.reserve(other)

        asyncio.run(work())
        assert used_so_far() == 60
        assert [one.call_id for one in BudgetReservation.objects.all()] == [other.id]


def used_so_far():
    """Return what a dollar budget has counted, by a connection that was not cut."""
    connection.close()
    return close_after(lambda: Counter.objects.get(kind="USD").used)


def close_after(work):
    """Let a thread's connection go."""
    try:
        return work()
    finally:
        connection.close()


def reserved():
    rows = BudgetReservation.objects.values_list("call_id", "usd", "tokens")
    return close_after(lambda: {pk: (usd, tokens) for pk, usd, tokens in rows})


def change(budget, amount, at):
    """Put another row in the budget's place."""

    def work():
        Budget.objects.filter(pk=budget.pk).update(
            active_to=at, ended_by=budget.set_by, end_reason="Changed."
        )
        asked = budget.budgetchanges.create(
            amount=amount, zone=budget.zone, mode=budget.mode, thresholds=[80],
            justification="More.", requested_by=budget.set_by, requested_at=at,
            status="APPROVED", decided_by=UserFactory(), decided_at=at,
        )  # fmt: skip
        Budget.objects.create(
            series=budget.series, team=budget.team, unit=budget.unit, amount=amount,
            zone=budget.zone, mode=budget.mode, thresholds=[80], active_from=at,
            set_by=budget.set_by, reason="Agreed.", change=asked,
        )  # fmt: skip

    close_after(work)


def boost(series, amount, at):
    def work():
        budget = Budget.objects.filter(series=series).latest("active_from")
        Boost.objects.create(
            budget=budget, amount=amount, ends_at=at + timedelta(days=1), justification="More.",
            requested_by=budget.set_by, requested_at=at, status="APPROVED",
            decided_by=UserFactory(), decided_at=at,
        )  # fmt: skip

    close_after(work)


def revoke(team, at):
    from apps.access.models import Grant

    def work():
        rows = Grant.objects.filter(team__slug=team)
        rows.update(revoked_at=at, revoked_by=UserFactory(), revoke_reason="Over.")

    close_after(work)


class TestWriter:
    def test_puts_what_came_during_a_turn_into_the_next(self, world):
        put(MOST * 60, team=world["claims"])

        async def work():
            async with purse_of() as purse:
                calls = [a_call() for _ in range(50)]
                await asyncio.gather(*(purse.reserve(call) for call in calls))
                turns = purse.writer.turns
                for call in calls:
                    await purse.settle(call, used(), AT)
                await purse.writer.flushed()
                return turns, purse.writer.turns

        first, then = asyncio.run(work())
        assert first <= 3
        assert then <= first + 2
        assert SettledCall.objects.count() == 50
        assert Counter.objects.get(kind="USD").reserved == 0

    def test_extends_the_lease_of_a_call_that_lasts(self, world):
        clock = Clock()

        async def work():
            async with purse_of(clock) as purse:
                call = a_call()
                await purse.reserve(call)
                clock.at += LEASE / 2
                purse.writer._comes.set()
                while (await asyncio.to_thread(expiry)) < clock.at + LEASE:
                    await asyncio.sleep(0.01)
                await purse.settle(call, used(), clock.at)

        asyncio.run(work())
        assert not BudgetReservation.objects.exists()

    def test_lets_the_lease_of_a_call_end_that_lasts_longer_than_any(self, world, caplog):
        clock = Clock()

        async def work():
            async with purse_of(clock) as purse:
                call, other = a_call(), a_call()
                await purse.reserve(call)
                clock.at += purse.writer.longest - LEASE / 2
                await purse.reserve(other)
                clock.at += LEASE
                purse.writer._comes.set()
                while purse.writer._held.keys() != {other.id}:
                    await asyncio.sleep(0.01)
                return call.id

        assert str(asyncio.run(work())) in caplog.text

    def test_gives_back_what_was_reserved_for_a_caller_that_no_longer_waits(self, world):
        async def work():
            async with purse_of() as purse:
                waiting = asyncio.create_task(purse.reserve(a_call()))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                await purse.writer.flushed()

        asyncio.run(work())
        assert not BudgetReservation.objects.exists()
        assert not SettledCall.objects.exists()
        assert {row.reserved for row in Counter.objects.all()} <= {0}

    def test_goes_on_without_a_call_that_the_database_does_not_take(self, world, caplog):
        async def work():
            async with purse_of() as purse:
                calls = [a_call() for _ in range(4)]
                for call in calls:
                    await purse.reserve(call)
                for call in calls[1:]:
                    await purse.settle(call, used(), AT)
                odd = Settled(calls[0].id, calls_whose(calls[0]), Decimal(1), -1)
                purse.writer.settle(odd)
                found = await asyncio.gather(
                    purse.reserve(a_call()), purse.reserve(a_call(cost_center="\0")),
                    return_exceptions=True,
                )  # fmt: skip
                await purse.writer.flushed()
                return found

        found = asyncio.run(work())
        assert [type(one) for one in found] == [type(None), Away]
        assert SettledCall.objects.count() == 3
        assert BudgetReservation.objects.count() == 1
        assert "does not take the call" in caplog.text

    def test_settles_in_a_new_connection_what_the_broken_one_did_not(self, world):
        put(MOST * 60, team=world["claims"])

        async def work():
            async with purse_of() as purse:
                calls = [a_call() for _ in range(4)]
                for call in calls[:2]:
                    await purse.reserve(call)
                    await purse.settle(call, used(), AT)
                await purse.writer.flushed()
                for call in calls[2:]:
                    await purse.reserve(call)
                await asyncio.to_thread(end_connections)
                for call in calls[2:]:
                    await purse.settle(call, used(), AT)
                await purse.writer.flushed()

        asyncio.run(work())
        assert SettledCall.objects.count() == 4
        assert not BudgetReservation.objects.exists()
        row = Counter.objects.get(kind="USD")
        assert (row.reserved, row.used) == (0, 4 * 60)


def calls_whose(call):
    from apps.gateway.purse.purse import whose

    return whose(call)


def expiry():
    return close_after(lambda: BudgetReservation.objects.get().expires_at)


def end_connections():
    """End every connection of a gate."""

    def work():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'quartermaster-gate' AND datname = current_database()"
            )

    close_after(work)


def test_ids_are_never_anothers(world):
    """A second call with the id of one that is under way is not let through, and what the first
    one holds stays held.
    """
    one = uuid.uuid4()

    async def work():
        async with purse_of() as purse:
            await purse.reserve(a_call(id=one))
            second = Transaction(Steps(purse, OpenGuard(), OpenRecord()), lambda: AT)
            with pytest.raises(Refusal, match="another call's") as found:
                await second.request(a_call(id=one))
            await second.close()
            await purse.writer.flushed()
            return found.value.status, await asyncio.to_thread(reserved)

    status, held = asyncio.run(work())
    assert (status, list(held)) == (502, [one])
