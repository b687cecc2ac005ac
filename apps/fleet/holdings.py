"""Which pods held how many GPUs of which machine, from when to when: what a machine's cost is
shared by.

A pod holds its GPUs from the moment it is scheduled until it ends. A pod that a machine was
launched for holds them from the launch on: nobody else could have used them. A GPU that is cut by
MIG is held in sevenths, which is how every card that EC2 offers is cut.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from django.db.models import Max, Q

from apps.fleet.models import Node, NodeClaim, Replica, ReplicaPhase

SLICES = 7  # of a card


@dataclass(frozen=True)
class Holding:
    """GPUs of a machine that a pod held over [from_at, to_at). claim: the machine's key; replica:
    the pod's.

    version: as calls name it, `<model>-v<n>`. ready_at: when the pod took calls for the first time;
    None: never.
    """

    claim: int
    namespace: str
    model: str
    version: str
    gpus: Fraction
    from_at: datetime
    ready_at: datetime | None
    to_at: datetime
    replica: int = 0


def held(claims: Iterable[NodeClaim], from_at: datetime, to_at: datetime) -> list[Holding]:
    """Return what pods held of these machines in [from_at, to_at); three queries.

    What lies outside the range is cut off, times of readiness excepted. Oldest pods first.
    """
    machines = _Machines(claims)
    rows = list(_replicas(machines, from_at, to_at))
    scheduled = _scheduled_at(rows)
    told = _gpus_told(machines, from_at, to_at)
    found = []
    for row in rows:
        claim = machines.under(row)
        if claim is None:
            continue
        holding = Holding(
            claim=claim.pk,
            namespace=row.namespace,
            model=row.model,
            version=row.service,
            gpus=_gpus(row, claim, told),
            from_at=max(from_at, _begins(row, claim, scheduled)),
            ready_at=row.ready_at,
            to_at=min(to_at, row.ended_at or to_at),
            replica=row.pk,
        )
        if holding.gpus and holding.from_at < holding.to_at:
            found.append(holding)
    return found


class _Machines:
    """Machines by their names and their nodes' names."""

    def __init__(self, claims: Iterable[NodeClaim]) -> None:
        self.by_name: dict[str, NodeClaim] = {}
        self.by_node: dict[str, list[NodeClaim]] = {}
        for claim in claims:
            self.by_name[claim.name] = claim
            if claim.node_name:
                self.by_node.setdefault(claim.node_name, []).append(claim)

    def under(self, row: Replica) -> NodeClaim | None:
        """Return the machine that a pod is on, or waits for; None where it is none of these.

        A node's name may be another node's at another time.
        """
        if not row.node_name:
            return self.by_name.get(row.node_claim_name)
        same = [
            claim
            for claim in self.by_node.get(row.node_name, [])
            if (row.ended_at is None or claim.created_at < row.ended_at)
            and (claim.ended_at is None or claim.ended_at > row.created_at)
        ]
        named = [claim for claim in same if claim.name == row.node_claim_name]
        return next(iter(named or same), None)


def _replicas(machines: _Machines, from_at: datetime, to_at: datetime) -> Iterable[Replica]:
    on_them = Q(node_name__in=machines.by_node)
    promised = Q(node_name="", node_claim_name__in=machines.by_name)
    there = Q(ended_at__isnull=True) | Q(ended_at__gt=from_at)
    rows = Replica.objects.filter(on_them | promised).filter(there, created_at__lt=to_at)
    return rows.order_by("created_at", "id")


def _scheduled_at(rows: Iterable[Replica]) -> dict[int, datetime]:
    """Return replica → when it was given its node."""
    steps = ReplicaPhase.objects.filter(
        replica__in=[row.pk for row in rows], phase=ReplicaPhase.Phase.SCHEDULED
    )
    return dict(steps.values_list("replica_id", "occurred_at"))


def _gpus_told(machines: _Machines, from_at: datetime, to_at: datetime) -> Mapping[str, int]:
    """Return node → how many GPUs it tells: more than its machine has where each MIG instance is
    told as one (the strategy "single").
    """
    there = Q(ended_at__isnull=True) | Q(ended_at__gt=from_at)
    rows = Node.objects.filter(there, name__in=machines.by_node, created_at__lt=to_at).order_by()
    return dict(rows.values_list("name").annotate(Max("gpu_count")))


def _begins(row: Replica, claim: NodeClaim, scheduled: Mapping[int, datetime]) -> datetime:
    if claim.created_at >= row.created_at:  # it was launched while the pod waited
        return claim.launched_at or claim.created_at
    return scheduled.get(row.pk, row.created_at)


def _gpus(row: Replica, claim: NodeClaim, told: Mapping[str, int]) -> Fraction:
    """Return the GPUs that a pod holds, in whole cards and parts of them."""
    units = max(claim.gpu_count, told.get(claim.node_name, 0))
    whole = Fraction(row.gpu_count * claim.gpu_count, units) if units else Fraction(row.gpu_count)
    return whole + Fraction(row.mig_slices, SLICES)
