"""`make bench-ingest`: how many calls a second two web processes take in over OTLP, end to end.

Beside them, in the same run and on the same Postgres, two references with the same rows: a bare
COPY into the table of calls, and COPY into a staging table followed by INSERT … ON CONFLICT DO
NOTHING, which is the least that counts each call once. Then 30 % duplicates, and kill -9 of a web
process and of the database in the middle, after which every call must be there exactly once: a
sender repeats what was not answered, as the Collector does. EVENTS sets the size.

Postgres runs without fsync, as in the tests; both sides have that.
"""

import gzip
import http.client
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psutil
import psycopg

import tests.environment  # noqa: F401 (sets what the settings need, and starts Postgres)
from deploy.local.stack.ports import free_port
from deploy.local.stack.product import web_command
from tests.benchmarks.report import Result, show

EVENTS = int(os.environ.get("EVENTS", "100000"))
BATCH = 5000  # records, between the Collector's 2,000 and 8,000
SENDERS = 4
GOAL = 0.35
SEED = 11
START_SECONDS = 60.0
TOKEN = "Bearer ingest-token-of-the-tests"
STAGED = """
CREATE TEMP TABLE staged (LIKE metering_usageevent INCLUDING GENERATED) ON COMMIT DROP
"""


def main() -> int:
    """Measure, count, and print the figures."""
    names = prepare()
    fresh = [batch(EVENTS, names, part) for part in range(3)]
    copied = against_database(fresh[0], staged=False)
    staged = against_database(fresh[0], staged=True)
    with serving() as ports:
        ours = over_http(ports, fresh[1])
        again = fresh[1][: int(EVENTS * 0.3)] + fresh[2][: int(EVENTS * 0.7)]
        random.Random(SEED).shuffle(again)  # noqa: S311 - a benchmark's order, not a secret
        duplicated = over_http(ports, again)
    expect(stored(), EVENTS + int(EVENTS * 0.7), "after the duplicates")
    killed = after_kills(fresh[2])
    show(
        "ingest",
        [
            rate(f"COPY alone, {EVENTS:,} calls", copied, 0.0),
            rate("COPY into staging, then ON CONFLICT", staged, 0.0),
            rate("over HTTP, two web processes", ours, GOAL * staged, staged),
            rate("the same with 30 % duplicates", duplicated, GOAL * staged, staged),
            Result("calls lost or doubled after kill -9", abs(killed), "calls", 0),
        ],
    )
    return 0


def rate(name: str, value: float, goal: float, reference: float | None = None) -> Result:
    """Return a figure in calls per second."""
    ratio = round(value / reference, 2) if reference else None
    return Result(name, round(value), "1/s", round(goal), ratio, "higher")


def expect(found: int, wanted: int, when: str) -> None:
    """Raise RuntimeError where the count is wrong: then no figure means anything."""
    if found != wanted:
        raise RuntimeError(f"{when} there are {found:,} calls, not {wanted:,}")


def prepare() -> tuple[list[str], list[str]]:
    """Migrate, and make the teams and models that calls may name. Returns their names."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)
    from apps.common.periods import DAY, day_of
    from apps.metering.days import make_days
    from tests.factories import ModelVersionFactory, RegisteredModelFactory, TeamFactory

    today = day_of(datetime.now(UTC))
    make_days({today - DAY, today, today + DAY})
    teams = [TeamFactory(slug=f"team-{n}").slug for n in range(50)]
    models = [RegisteredModelFactory(name=f"model-{n}") for n in range(10)]
    for model in models:
        ModelVersionFactory(registered_model=model, number=1)
    return teams, [model.name for model in models]


def batch(
    count: int, names: tuple[Sequence[str], Sequence[str]], part: int
) -> list[dict[str, str]]:
    """Return calls of the last hours as the gateway tells them."""
    chosen = random.Random(SEED + part)  # noqa: S311 - the same calls in every run
    teams, models = names
    now = datetime.now(UTC)
    found = []
    for _ in range(count):
        model, asked = chosen.choice(models), chosen.randint(1, 2000)
        at = now - timedelta(seconds=chosen.randint(0, 7200))
        found.append({
            "x-request-id": str(UUID(int=chosen.getrandbits(128), version=4)),
            "start_time": at.isoformat(timespec="milliseconds"), "response_code": "200",
            "response_flags": "-", "response_code_details": "via_upstream", "duration": "812",
            "team": chosen.choice(teams), "cost_center": "CC-4100", "user_id": "00u1a2b3c4",
            "route_name": f"httproute/models/{model}/rule/0", "gen_ai.request.model": model,
            "gen_ai.request.model_override": f"{model}-v1",
            "gen_ai.usage.input_tokens": str(asked),
            "gen_ai.usage.cached_input_tokens": str(asked // 3),
            "gen_ai.usage.output_tokens": str(chosen.randint(1, 400)),
            "gen_ai.latency.ttft_ms": "81.5",
        })  # fmt: skip
    return found


def against_database(calls: Sequence[dict[str, str]], *, staged: bool) -> float:
    """Return how many rows a second COPY writes, and take them away again."""
    from apps.metering.access_log import read_entry
    from apps.metering.stores.columns import RECORD_VALUES, STORED

    names, now = ", ".join(STORED), datetime.now(UTC)
    table = "staged" if staged else "metering_usageevent"
    entries = [read_entry(call) for call in calls]
    rows = [(*RECORD_VALUES(each.record), now, "OTLP") for each in entries if each]
    with psycopg.connect(os.environ["MIGRATIONS_DATABASE_URL"]) as connection:
        began = time.perf_counter()
        for start in range(0, len(rows), BATCH):
            with connection.transaction(), connection.cursor() as cursor:
                if staged:
                    cursor.execute(STAGED)
                with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                    for row in rows[start : start + BATCH]:
                        copy.write_row(row)
                if staged:
                    cursor.execute(
                        f"INSERT INTO metering_usageevent ({names}) SELECT {names} FROM staged"  # noqa: S608
                        " ON CONFLICT DO NOTHING"
                    )
        seconds = time.perf_counter() - began
        connection.execute("TRUNCATE metering_usageevent")
    return len(rows) / seconds


@contextmanager
def serving() -> Iterator[list[int]]:
    """Run two web processes as the local stack does, each behind a port."""
    ports = [free_port(), free_port()]
    children = [start_web(port) for port in ports]
    try:
        yield ports
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(20)


def start_web(port: int) -> subprocess.Popen[bytes]:
    """Start one web process and wait until it answers."""
    words = web_command(sys.executable, port)
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return child
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the web process does not answer")


def bodies_of(calls: Sequence[dict[str, str]]) -> list[bytes]:
    """Return the calls as packed OTLP batches."""
    from tests.metering.test_ingest import batch as packed

    return [
        gzip.compress(packed(*calls[start : start + BATCH]), 1)
        for start in range(0, len(calls), BATCH)
    ]


def over_http(ports: Sequence[int], calls: Sequence[dict[str, str]]) -> float:
    """Return how many calls a second arrive, from a few senders at once."""
    bodies = bodies_of(calls)
    began = time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as senders:
        jobs = [
            senders.submit(send, ports[number % len(ports)], body)
            for number, body in enumerate(bodies)
        ]
        for job in jobs:
            job.result()
    return len(calls) / (time.perf_counter() - began)


def send(port: int, body: bytes) -> None:
    """Send a batch until it is taken: what got no answer is sent again, as a Collector does."""
    headers = {
        "Authorization": TOKEN,
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "gzip",
    }
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("POST", "/v1/logs", body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.5)
            continue
        if answer.status == 200 and not said:
            return
        if answer.status != 503:
            raise RuntimeError(f"a batch was answered {answer.status} {said[:200]!r}")
        time.sleep(0.5)
    raise RuntimeError("a batch was not taken within two minutes")


def after_kills(calls: Sequence[dict[str, str]]) -> int:
    """Kill a web process, and a backend of the database, while calls arrive; return how many calls
    are stored too many or too few.
    """
    before = stored()
    known = int(len(calls) * 0.7)  # of them were sent with the duplicates
    port = free_port()
    child = start_web(port)
    try:
        with ThreadPoolExecutor(SENDERS) as senders:
            jobs = [senders.submit(send, port, body) for body in bodies_of(calls)]
            time.sleep(1)
            for process in (*psutil.Process(child.pid).children(recursive=True), child):
                process.kill()
            child.wait()
            child = start_web(port)
            time.sleep(0.5)
            _kill_backends()
            for job in jobs:
                job.result()
    finally:
        child.terminate()
        child.wait(20)
    return stored() - before - (len(calls) - known)


def _kill_backends() -> None:
    """Kill the database's processes that serve the portal with SIGKILL: Postgres starts anew."""
    with psycopg.connect(os.environ["MIGRATIONS_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchall()
    for (pid,) in rows[:1]:
        psutil.Process(pid).kill()
    time.sleep(2)


def stored() -> int:
    """Return how many calls the table holds."""
    until = time.monotonic() + 60
    while True:
        try:
            with psycopg.connect(os.environ["MIGRATIONS_DATABASE_URL"]) as connection:
                row = connection.execute("SELECT count(*) FROM metering_usageevent").fetchone()
            return int(row[0]) if row else 0
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
