"""What came in place of a machine that ended: the replicas of the same versions that began
elsewhere, and the machines that were launched for them; and when versions slept.

A machine is taken to be followed by what began within MOVED_WITHIN of its end. Nothing is asked of
the cluster: the rows are what the observer saw.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from apps.fleet import intervals, sightings
from apps.fleet.holdings import SLICES
from apps.fleet.models import NodeClaim, NodeClaimQuerySet, Replica
from apps.manifests.capacity import SPOT
from apps.manifests.names import MODELS

MOVED_WITHIN = timedelta(minutes=15)
LONGEST = timedelta(days=30)  # that an end, or a sleep, is counted for


@dataclass(frozen=True)
class Removal:
    """A machine that ended, with what followed. usd_per_hour: its last price; None without one.
    launched: the machines under the successors that were launched for them.
    """

    claim: NodeClaim
    ended_at: datetime
    usd_per_hour: Decimal | None
    successors: list[Replica]
    launched: list[NodeClaim]


@dataclass(frozen=True)
class Rest:
    """A time in which a version had no replica, between two that it had; to_at None: it goes on.
    gpus, usd_per_hour: what its last replica held, and paid for that; None without a price.
    """

    version: str
    from_at: datetime
    to_at: datetime | None
    gpus: Decimal
    usd_per_hour: Decimal | None


def reclaimed(from_at: datetime, to_at: datetime) -> NodeClaimQuerySet:
    """Return the Spot machines that AWS took back in [from_at, to_at)."""
    reasons = (sightings.RECLAIMED, sightings.TAKEN_BACK)
    rows = NodeClaim.objects.filter(capacity_type=SPOT, end_reason__in=reasons)
    return rows.filter(ended_at__gte=from_at, ended_at__lt=to_at)


def consolidated(from_at: datetime, to_at: datetime) -> NodeClaimQuerySet:
    """Return the machines that Karpenter removed in [from_at, to_at) as underutilized."""
    rows = NodeClaim.objects.filter(end_reason__startswith=sightings.UNDERUTILIZED)
    return rows.filter(ended_at__gte=from_at, ended_at__lt=to_at)


def removals(claims: Iterable[NodeClaim], from_at: datetime, to_at: datetime) -> list[Removal]:
    """Return the machines that ended, and that replicas followed which lasted in [from_at, to_at);
    seven queries, none where there is no machine.
    """
    ended = [(claim, claim.ended_at) for claim in claims if claim.ended_at is not None]
    if not ended:
        return []
    first, last = min(at for _, at in ended), max(at for _, at in ended)
    lost = _lost([claim for claim, _ in ended], first, last)
    began = _began(first - MOVED_WITHIN, from_at, to_at)
    followed = [(claim, at, _after(claim, at, lost, began)) for claim, at in ended]
    followed = [(claim, at, after) for claim, at, after in followed if after]
    under = _under(row for _, _, after in followed for row in after)
    prices = intervals.costs_of([claim for claim, _, _ in followed], to_at)
    return [
        Removal(
            claim=claim,
            ended_at=at,
            usd_per_hour=prices[claim.pk].price.usd_per_hour,
            successors=after,
            launched=[
                each
                for each in {under[row.node_name] for row in after if row.node_name in under}
                if _is_near(each.created_at, at)
            ],
        )
        for claim, at, after in followed
    ]


def _lost(claims: Sequence[NodeClaim], first: datetime, last: datetime) -> dict[str, list[Replica]]:
    """Return node → its replicas that ended about when one of these machines did."""
    names = {claim.node_name for claim in claims if claim.node_name}
    near = (first - MOVED_WITHIN, last + MOVED_WITHIN)
    found: dict[str, list[Replica]] = {}
    for row in Replica.objects.filter(node_name__in=names, ended_at__range=near, namespace=MODELS):
        found.setdefault(row.node_name, []).append(row)
    return found


def _began(since: datetime, from_at: datetime, to_at: datetime) -> dict[str, list[Replica]]:
    """Return version → its replicas that began since then, and lasted in [from_at, to_at)."""
    lasted = Q(ended_at__isnull=True) | Q(ended_at__gt=from_at)
    rows = Replica.objects.filter(lasted, namespace=MODELS, created_at__range=(since, to_at))
    found: dict[str, list[Replica]] = {}
    for row in rows.exclude(node_name=""):
        found.setdefault(row.service, []).append(row)
    return found


def _after(
    claim: NodeClaim,
    at: datetime,
    lost: Mapping[str, Sequence[Replica]],
    began: Mapping[str, Sequence[Replica]],
) -> list[Replica]:
    """Return what came in place of the replicas that a machine lost."""
    here = lost.get(claim.node_name, []) if claim.node_name else []
    versions = {row.service for row in here if _is_near(row.ended_at, at)}
    return [
        row
        for version in sorted(versions)
        for row in began.get(version, [])
        if row.node_name != claim.node_name and _is_near(row.created_at, at)
    ]


def _under(rows: Iterable[Replica]) -> dict[str, NodeClaim]:
    """Return node → the newest claim under it."""
    names = {row.node_name for row in rows}
    claims = NodeClaim.objects.filter(node_name__in=names).order_by("created_at", "id")
    return {claim.node_name: claim for claim in claims}


def _is_near(moment: datetime | None, at: datetime) -> bool:
    return moment is not None and abs(moment - at) <= MOVED_WITHIN


def rests(from_at: datetime, to_at: datetime, *, asleep: Iterable[str]) -> list[Rest]:
    """Return the times in which versions slept that reach into [from_at, to_at), longer than a
    move takes, and not begun by the loss of a machine; six queries.

    asleep: versions that may sleep and serve still, whose last rest goes on without an end.
    """
    known = Q(ended_at__isnull=True) | Q(ended_at__gte=from_at - LONGEST)
    rows = Replica.objects.filter(known, namespace=MODELS, created_at__lt=to_at + LONGEST)
    by_version: dict[str, list[Replica]] = {}
    for row in rows.exclude(node_name="").order_by("created_at", "id"):
        by_version.setdefault(row.service, []).append(row)
    gaps = [
        (version, last, to)
        for version, mine in by_version.items()
        for last, to in _gaps(mine, goes_on=version in set(asleep))
        if last.ended_at and last.ended_at < to_at and (to is None or to > from_at)
    ]
    under = _under(last for _, last, _ in gaps)
    prices = intervals.costs_of(under.values(), to_at) if under else {}
    found = (_rest(version, last, to, under, prices) for version, last, to in gaps)
    return [rest for rest in found if rest is not None]


def _gaps(mine: Sequence[Replica], *, goes_on: bool) -> Iterable[tuple[Replica, datetime | None]]:
    """Yield the last replica before each time without one, and when the next one began."""
    last: Replica | None = None
    for row in mine:
        if last is not None and last.ended_at and row.created_at - last.ended_at > MOVED_WITHIN:
            yield last, row.created_at
        if last is None or last.ended_at is not None and _ends_later(row, last.ended_at):
            last = row
    if goes_on and last is not None and last.ended_at is not None:
        yield last, None


def _ends_later(row: Replica, at: datetime) -> bool:
    return row.ended_at is None or row.ended_at > at


def _rest(
    version: str,
    last: Replica,
    to_at: datetime | None,
    under: Mapping[str, NodeClaim],
    prices: Mapping[int, intervals.ClaimCost],
) -> Rest | None:
    """Return a rest; None where its replica ended because its machine was taken away."""
    claim, ended_at = under.get(last.node_name), last.ended_at
    if ended_at is None or claim is not None and _was_taken(claim, ended_at):
        return None
    gpus = last.gpu_count + Decimal(last.mig_slices) / SLICES
    usd = None
    if claim is not None and claim.gpu_count:
        price = prices[claim.pk].price.usd_per_hour
        usd = None if price is None else price * gpus / claim.gpu_count
    return Rest(version, ended_at, to_at, gpus, usd)


def _was_taken(claim: NodeClaim, at: datetime) -> bool:
    reasons = (sightings.RECLAIMED, sightings.TAKEN_BACK)
    return claim.end_reason in reasons and _is_near(claim.ended_at, at)
