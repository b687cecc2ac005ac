"""What calls take on disk, and how long their hours and days take to be computed."""

from datetime import datetime, timedelta

from tests.benchmarks.chargeback.company import SURGE_HOUR, Size
from tests.benchmarks.chargeback.months import Done
from tests.benchmarks.report import Result
from tests.benchmarks.stopwatch import median

MOST_BYTES = 650  # of a call, with its indexes
HOUR_SECONDS, DAY_SECONDS = 2, 10


def disk_results(done: Done) -> list[Result]:
    """Return how many bytes a call takes: in Postgres beside Parquet, and all that is made of
    it beside itself.
    """
    calls, raw, rest = _disk()
    return [
        Result(
            f"bytes of a call in Postgres with its indexes, of {calls:,}",
            round(raw / calls),
            "B",
            MOST_BYTES,
            round(raw / done.parquet_bytes, 1),
        ),
        Result(
            "bytes for each call in every other table, sums and lines",
            round(rest / calls),
            "B",
            MOST_BYTES,
            round(rest / raw, 2),
        ),
        Result("bytes of a call as Parquet", round(done.parquet_bytes / calls, 1), "B", 100),
    ]


def _disk() -> tuple[int, int, int]:
    """Return how many calls there are, their bytes with indexes, and those of everything else."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_usageevent")
        (calls,) = cursor.fetchone()
        cursor.execute(
            "SELECT sum(pg_total_relation_size(oid)) FILTER (WHERE relispartition),"
            " sum(pg_total_relation_size(oid)) FILTER (WHERE NOT relispartition)"
            " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        raw, rest = cursor.fetchone()
    return calls, int(raw), int(rest)


def hour_results(size: Size, done: Done, now: datetime) -> list[Result]:
    """Return how long hours take to be added up, the usual and the busiest one, and the day of
    that one to be priced and shared out. The busiest hour's ratio is to summing its calls alone.
    """
    from apps.chargeback import actions as money
    from apps.common.periods import start_of_day
    from apps.metering import actions as metering
    from apps.metering import store

    hour = start_of_day(size.surge) + timedelta(hours=SURGE_HOUR)
    calls = sum(each["metered_calls"] for each in store.hour_sums([hour]))

    def add_up() -> None:
        metering.mark_hours({hour}, now)
        metering.roll_up_hours(hours=[hour], now=now)

    def price() -> None:
        money.mark_days(first=size.surge, last=size.surge, now=now)
        money.price_day(day=size.surge)

    summing, adding = median(lambda: list(store.hour_sums([hour]))), median(add_up)
    sharing = median(lambda: money.allocate_day(day=size.surge, now=now))
    usual = done.seconds["add up"] / done.hours
    return [
        Result(f"add up an hour, mean of {done.hours:,}", round(usual, 3), "s", HOUR_SECONDS),
        Result(
            f"add up an hour of {calls:,} metered calls",
            round(adding, 2),
            "s",
            HOUR_SECONDS,
            round(adding / summing, 1),
        ),
        Result("price its day, and sum its month", round(median(price), 2), "s", DAY_SECONDS),
        Result(f"share out its day, {size.models} replicas", round(sharing, 2), "s", DAY_SECONDS),
    ]
