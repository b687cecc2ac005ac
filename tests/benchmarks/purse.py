"""`make bench-purse`: how many calls a second gates reserve and settle, and how long reading what
people decided takes, at 1,500 teams and 500 models (TEAMS, MODELS; GRANTS of each team).

Every call counts against three budgets in dollars and three in tokens, its minute and the calls
under way, and all calls against the budget of one cost center. Counted are the processor seconds of
the gates and of the database's processes that serve them, so that it does not matter what else the
machine does. Postgres runs without fsync, as in the tests: a disk's own time for a commit is shared
by the calls of a turn.
"""

import asyncio
import os
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from statistics import quantiles
from typing import Any

import psutil

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from tests.benchmarks.report import Result, show

TEAMS, MODELS = int(os.environ.get("TEAMS", "1500")), int(os.environ.get("MODELS", "500"))
GRANTS = int(os.environ.get("GRANTS", "20"))  # of each team
SECONDS = float(os.environ.get("SECONDS", "8"))
AT_ONCE, GATES = 32, (1, 2)
PLENTY = 10**12
NOW = datetime.now(UTC)


def main() -> None:
    """Measure and print the figures."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)
    made = make_company()
    print(f"{TEAMS:,} teams, {MODELS:,} models, {made:,} grants, each with its budget", flush=True)
    show("purse", [*load_results(), *plan_results(), *spend_results()])


# -- The company -----------------------------------------------------------------------------------
def make_company() -> int:
    """Make teams, models, grants and budgets; return how many grants."""
    from apps.access.budgets.models import Budget
    from apps.access.models import AccessRequest, Grant
    from apps.accounts.models import CostCenter, Team, User
    from apps.catalog.models import RegisteredModel

    payers = CostCenter.objects.bulk_create(CostCenter(code=f"CC-{n}") for n in range(100))
    teams = Team.objects.bulk_create(
        Team(slug=f"team-{n}", name=f"Team {n}", cost_center=payers[n % 100]) for n in range(TEAMS)
    )
    people = User.objects.bulk_create(
        User(issuer="bench", subject=str(n), username=str(n), name=str(n), created_at=NOW)
        for n in range(2)
    )
    models = RegisteredModel.objects.bulk_create(
        RegisteredModel(
            name=f"model-{n}", title="A model", description="Reads.", task="Reading", family="S",
            parameter_count=10**9, context_length=32_768, license="Apache-2.0", data_class="PHI",
            owner_team=teams[0], created_at=NOW,
        )
        for n in range(MODELS)
    )  # fmt: skip
    pairs = [
        (team, models[(n + k) % MODELS]) for n, team in enumerate(teams) for k in range(GRANTS)
    ]
    terms = {"tokens_per_minute": 2_000_000_000}
    begins, ends = NOW - timedelta(days=1), NOW + timedelta(days=90)
    requests = AccessRequest.objects.bulk_create(
        (
            AccessRequest(
                registered_model=model, team=team, requested_by=people[0], requested_at=begins,
                purpose="Work.", data_class="PHI", monthly_budget_usd=1, status="APPROVED",
                expires_date=ends.date(), decided_by=people[1], decided_at=begins, **terms,
            )
            for team, model in pairs
        ),
        batch_size=5000,
    )  # fmt: skip
    Grant.objects.bulk_create(
        (
            Grant(request=asked, registered_model=asked.registered_model, team=asked.team,
                  active_from=begins, active_to=ends, **terms)
            for asked in requests
        ),
        batch_size=5000,
    )  # fmt: skip
    scopes: list[dict[str, Any]] = [
        *({"cost_center": payer} for payer in payers),
        *({"team": team} for team in teams),
        *({"team": team, "registered_model": model} for team, model in pairs),
    ]
    Budget.objects.bulk_create(
        (
            Budget(unit=unit, amount=PLENTY if unit == "TOKENS" else 10**9, zone="America/New_York",
                   mode="HARD", thresholds=[80], active_from=begins, set_by=people[0],
                   reason="Agreed.", **scope)
            for scope, unit in product(scopes, ("USD", "TOKENS"))
        ),
        batch_size=5000,
    )  # fmt: skip
    return len(pairs)


# -- Reading what people decided -------------------------------------------------------------------
def load_results() -> list[Result]:
    """Return how long the first reading takes, which makes the counters too, and those after it."""
    from apps.gateway.purse.purse import Budgets

    purse = a_purse()
    first = timed(lambda: purse.load(NOW))
    assert isinstance(purse, Budgets)
    second = timed(lambda: a_purse().load(NOW))
    later = sorted(timed(lambda n=n: purse.load(NOW + n * timedelta(seconds=2))) for n in range(9))
    return [
        Result("the first load of all, with new counters", round(first, 2), "s", 60),
        Result("the first load of another gate", round(second, 2), "s", 20),
        Result("each load after it, median", round(later[4] * 1000, 1), "ms", 100),
    ]


def a_purse() -> Any:
    from apps.gateway.purse.purse import Budgets
    from apps.gateway.purse.writer import Writer
    from apps.integrations.postgres import direct

    address = partial(direct.address, seconds=10)
    return Budgets(Writer(address, lambda: datetime.now(UTC), timeout=10), "https://portal.test")


def timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# -- Turns -----------------------------------------------------------------------------------------
def plan_results() -> list[Result]:
    """Return how many counters a turn reads beyond those that it needs: it finds them by index."""
    from django.db import connection

    from apps.access.holds.models import Counter

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute(
            f"EXPLAIN SELECT id FROM {Counter._meta.db_table} WHERE cost_center = '' AND team ="  # noqa: S608
            " 'team-1' AND model = 'model-1' AND starts_at <= now() AND ends_at > now()"
        )
        plan = " ".join(row[0] for row in cursor.fetchall())
    scans = 0 if "counter_once_per_scope_and_window" in plan else 1
    return [Result(f"whole scans of {Counter.objects.count():,} counters", scans, "scans", 0)]


@dataclass(frozen=True)
class Spent:
    """What one gate did in its time. waits: seconds of each reservation."""

    calls: int
    turns: int
    cpu: float
    database_cpu: float
    waits: list[float]


def spend_results() -> list[Result]:
    """Return calls a second, and a second of processor, of one gate and of two."""
    found: list[Result] = []
    one = 0.0
    for gates in GATES:
        spent = in_processes(gates)
        rate = sum(each.calls for each in spent) / SECONDS
        cpu, database = (sum(getattr(each, n) for each in spent) for n in ("cpu", "database_cpu"))
        waits = quantiles([wait for each in spent for wait in each.waits], n=100)
        turns = sum(each.turns for each in spent) / SECONDS
        one = one or rate
        words = f"{gates} gate{'s' if gates > 1 else ''}, one cost center"
        calls = sum(each.calls for each in spent)
        found += [
            Result(f"{words}: calls a second", round(rate), "calls/s", 500, round(rate / one, 2),
                   "higher"),
            Result(f"{words}: turns a second", round(turns), "turns/s", 20, better="higher"),
            Result(f"{words}: calls a second of the gates' processor", round(calls / cpu),
                   "calls/s", 1500, better="higher"),
            Result(f"{words}: calls a second of the database's", round(calls / database),
                   "calls/s", 1500, better="higher"),
            Result(f"{words}: a reservation, median", round(waits[49] * 1000, 2), "ms", 60),
            Result(f"{words}: a reservation, p99", round(waits[98] * 1000, 2), "ms", 150),
        ]  # fmt: skip
    return found


def in_processes(gates: int) -> list[Spent]:
    """Let so many gates spend at the same time."""
    from django.db import connection

    from tests.gateway.purse import spenders

    connection.close()
    started = [spenders.start(lambda n=n: spend(n)) for n in range(gates)]
    found = [pipe.recv() for _, pipe in started]
    for process, _ in started:
        process.join()
    for each in found:
        assert isinstance(each, Spent), each
    return found


async def spend(number: int) -> Spent:
    """Reserve and settle as fast as it goes, so many calls at once."""
    from django.db import connection

    from apps.gateway.gate.answers import Used
    from apps.metering.gate.counts import Basis
    from apps.metering.models import Completeness
    from tests.gateway.purse.worlds import a_call

    purse = a_purse()
    await asyncio.to_thread(lambda: (purse.load(datetime.now(UTC)), connection.close()))
    used = Used(Basis.USAGE, Completeness.COMPLETE, 400, None, 50)
    waits: list[float] = []

    async def caller(n: int) -> None:
        team = 100 * ((number * AT_ONCE + n) % (TEAMS // 100))  # all of CC-0
        while time.perf_counter() < ends:
            call = a_call(
                f"team-{team}", f"model-{(team + n % GRANTS) % MODELS}", "CC-0", datetime.now(UTC),
                id=uuid.uuid4(), body=b"x" * 2000, max_tokens=200,
            )  # fmt: skip
            began = time.perf_counter()
            await purse.reserve(call)
            waits.append(time.perf_counter() - began)
            await purse.settle(call, used, call.at)

    await purse.reserve(warm := a_call("team-0", "model-0", "CC-0", datetime.now(UTC)))
    await purse.settle(warm, used, warm.at)
    backend = psutil.Process(purse.writer._connection.info.backend_pid)
    before, of_database = time.process_time(), sum(backend.cpu_times()[:2])
    ends = time.perf_counter() + SECONDS
    await asyncio.gather(*(caller(n) for n in range(AT_ONCE)))
    await purse.writer.flushed()
    spent = Spent(
        len(waits), purse.writer.turns, time.process_time() - before,
        sum(backend.cpu_times()[:2]) - of_database, waits,
    )  # fmt: skip
    await purse.close()
    return spent


if __name__ == "__main__":
    main()
