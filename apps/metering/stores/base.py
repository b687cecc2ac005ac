"""What every store of calls does, and which one is used.

A store keeps calls by UTC day, an id once within its day, and counts them exactly. Whatever holds
the calls, Postgres holds what decides about them: their ids, the marks of their hours, what is
archived. So what is said here of the caller's transaction holds for every store:

- what a transaction stored counts once that is committed, and never where it was not;
- what a day holds does not change while it is dropped, and a dropped day takes no call.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from apps.metering.access_log import UsageRecord
from apps.metering.models import UsageEvent

AT_ONCE = 50_000  # calls that one statement stores


@dataclass(frozen=True)
class Held:
    """What a day holds: how many calls, and the sum of their hashes, which every change changes."""

    calls: int
    fingerprint: Decimal


class Store(Protocol):
    """A store of calls."""

    def calls(self) -> QuerySet[UsageEvent]:
        """Return all calls, to be read."""

    def insert(self, records: Iterable[UsageRecord], *, via: str, now: datetime) -> set[UUID]:
        """Store those of the records whose id is not stored yet under their day; return their
        ids.
        """

    def take_out(self, event: UsageEvent) -> None:
        """Take a call out. Raises IntegrityError where that is not recorded first, or it has no
        earlier double.
        """

    def known(self, start: datetime, end: datetime) -> int | None:
        """Return how many calls of [start, end) count; None where all of `calls` do."""

    def counted(self, start: datetime, end: datetime) -> QuerySet[UsageEvent]:
        """Return the calls of [start, end) that count, and nothing else."""

    def keys(self) -> QuerySet[Any]:
        """Return the event_id and occurred_at of all calls that count, in Postgres whatever holds
        the calls.
        """

    def make_days(self, days: Collection[date]) -> frozenset[date]:
        """Make room for the calls of days; return those that are in the archive alone. No day that
        is asked for goes away until the caller's transaction ends.
        """

    def stored_days(self) -> list[date]:
        """Return the days that there is room for, oldest first."""

    def held_by(self, day: date) -> Held:
        """Return what a day holds."""

    def rows_of(
        self, day: date, columns: Sequence[str], at_once: int
    ) -> Iterator[tuple[object, ...]]:
        """Yield these columns of a day's calls that count, by time and id."""

    def shared_ids(self, day: date, other: date) -> list[UUID]:
        """Return the ids that calls of both days have, in order."""

    def drop_day(self, day: date, *, now: datetime) -> bool:
        """Drop the calls of a day that is archived. False where it is not what was archived any
        more, or an hour of it is still to be added up. Raises IntegrityError for a day that is not
        archived, OperationalError where somebody uses it.
        """

    def forget_dropped(self) -> None:
        """Take away what is left of dropped days, where a process died before it did so."""

    def restore_day(
        self, day: date, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, now: datetime
    ) -> int:
        """Make room for a day that was dropped, and store its calls again; return how many. Raises
        IntegrityError for a day that was not dropped.
        """


def store() -> Store:
    """Return the store that USAGE_STORE_URL names: Postgres where it is empty."""
    return store_at(settings.USAGE_STORE_URL)


@cache
def store_at(url: str) -> Store:
    """Return the store of an address; Postgres for "". One for each, whoever asks."""
    if not url:
        from apps.metering.stores.postgres import Postgres

        return Postgres()
    from apps.integrations.clickhouse.client import ClickHouseClient, Server
    from apps.metering.stores.clickhouse import ClickHouse

    return ClickHouse(ClickHouseClient(Server.of(url)))
