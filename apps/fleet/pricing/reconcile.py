"""Asks AWS for the prices of the machines that there are, region by region, and keeps what it
tells.

What is asked for follows from the intervals: a list price of every type in every region, once a
day; Spot prices of the types that were bought so, from where the last answer ended. A feed that
fails says why and is tried again; the others go on.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from apps.fleet.models import NodeInterval
from apps.fleet.pricing.actions import Told, record_prices
from apps.fleet.pricing.book import region_of
from apps.fleet.pricing.models import NodePrice, PriceFeed
from apps.integrations.aws.client import AwsPrices
from apps.integrations.errors import PermanentError, TemporaryError
from apps.manifests.capacity import SPOT

KEPT = timedelta(days=90)  # AWS's Spot history
LISTED_FOR = timedelta(days=1)  # after which a list price is asked for again
SPOT_FOR = timedelta(minutes=30)
AGAIN = timedelta(minutes=10)  # after a failure
# AWS adds changes with a delay: the end of the last answer is asked for again
OVERLAP = timedelta(hours=3)


def fetch_prices(*, aws: AwsPrices | None, now: datetime) -> int:
    """Ask for every price that is due; return how many new ones were told. aws: None where AWS is
    not to be asked.
    """
    if aws is None:
        return 0
    kinds = _kinds(now)
    feeds = {feed.name: feed for feed in PriceFeed.objects.all()}
    found = 0
    for kind, region in sorted({(kind, region_of(zone)) for kind, zone, _ in kinds}):
        name = f"{NodePrice.Source.LIST} {kind} {region}"
        if _is_due(feeds.get(name), now, LISTED_FOR):
            found += _keep(name, lambda: _listed(aws, kind, region), now)  # noqa: B023 (called at once)
    spot = {(kind, region_of(zone)) for kind, zone, bought in kinds if bought == SPOT}
    for region in sorted({region for _, region in spot}):
        name = f"{NodePrice.Source.SPOT} {region}"
        types = sorted(kind for kind, where in spot if where == region)
        if _is_due(feeds.get(name), now, SPOT_FOR):
            since = _since(feeds.get(name), types, region, now)
            found += _keep(name, lambda: _spot(aws, types, region, since, now), now)  # noqa: B023
    return found


def _kinds(now: datetime) -> set[tuple[str, str, str]]:
    """Return the machines of the time that AWS can tell of: (type, zone, how it was bought)."""
    spans = NodeInterval.objects.within(now - KEPT, now).exclude(instance_type="").order_by()
    rows = spans.values_list("instance_type", "zone", "capacity_type").distinct()
    return {row for row in rows if region_of(row[1])}


def _is_due(feed: PriceFeed | None, now: datetime, each: timedelta) -> bool:
    if feed is None:
        return True
    return now - feed.tried_at >= (AGAIN if feed.error else each)


def _since(feed: PriceFeed | None, types: Iterable[str], region: str, now: datetime) -> datetime:
    """Return from when Spot prices are asked for: all that AWS has where a type is new."""
    known = NodePrice.objects.filter(
        source=NodePrice.Source.SPOT, region=region, instance_type__in=types
    )
    is_new = set(types) - set(known.order_by().values_list("instance_type", flat=True).distinct())
    if feed is None or feed.told_until is None or is_new:
        return now - KEPT
    return max(feed.told_until - OVERLAP, now - KEPT)


def _keep(name: str, ask: Callable[[], list[Told]], now: datetime) -> int:
    """Keep what AWS tells, or why it does not."""
    try:
        told = ask()
    except (TemporaryError, PermanentError) as error:
        return record_prices(feed=name, told=[], told_until=None, error=str(error), now=now)
    return record_prices(feed=name, told=told, told_until=now, now=now)


def _listed(aws: AwsPrices, kind: str, region: str) -> list[Told]:
    found = aws.list_price(kind, region)
    if found is None:
        raise PermanentError(f"AWS does not list {kind} in {region}.")
    return [Told(NodePrice.Source.LIST, kind, region, "", found.usd_per_hour, found.effective_at)]


def _spot(
    aws: AwsPrices, types: list[str], region: str, since: datetime, now: datetime
) -> list[Told]:
    return [
        Told(
            NodePrice.Source.SPOT, each.instance_type, region, each.zone, each.usd_per_hour, each.at
        )
        for each in aws.spot_history(types, region, since=since, until=now)
    ]
