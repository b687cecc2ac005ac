"""What the pages and the worker read about pools: what each says, what hangs on it, and what its
machines cost.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import yaml

from apps.capacity import effect
from apps.capacity.fit import Fit, fit
from apps.capacity.models import CapacityRequest, NodePoolRevision
from apps.fleet import prices
from apps.fleet.models import Node, NodeInterval, NodePool
from apps.manifests import capacity
from apps.manifests.capacity import ON_DEMAND, BadCapacity
from apps.manifests.serving_settings import ServingSettings

MEASURED = timedelta(days=30)
# a pool of a thousand claims a day is measured over its last five days, not slowly over thirty
SPANS = 5000


@dataclass(frozen=True)
class Pool:
    """A pool: its newest revision, what that says (None where the portal cannot read it: problem),
    what is observed.
    """

    revision: NodePoolRevision
    spec: capacity.NodePool | None
    problem: str
    seen: NodePool | None
    request: CapacityRequest | None


@dataclass(frozen=True)
class Effect:
    """What a change would do to a pool, as things are now. only_spot: no pool would buy on demand
    any more.
    """

    changes: list[effect.Change]
    before: effect.Spend
    after: effect.Spend
    drifting: list[tuple[effect.Machine, str]]
    nodes: int
    exceeded: list[str]
    spot: effect.SpotMeasure | None
    only_spot: bool


def read_text(text: str) -> capacity.NodePool:
    """Return the pool that a file says. Raises BadCapacity."""
    try:
        documents = [item for item in yaml.safe_load_all(text) if item]
    except yaml.YAMLError as error:
        raise BadCapacity("The file is not YAML.") from error
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise BadCapacity("The file holds more, or less, than one NodePool.")
    return capacity.read_node_pool(documents[0])


def read_revision(revision: NodePoolRevision) -> capacity.NodePool:
    """Return the pool that a revision says. Raises BadCapacity; so also where the file is named
    after another pool.
    """
    found = read_text(revision.text)
    if found.name != revision.pool:
        raise BadCapacity(
            f"The file is named {revision.pool}, but the pool in it is {found.name}. "
            f"Rename one in Git."
        )
    return found


def pools() -> list[Pool]:
    """Return every pool by name; three queries."""
    revisions = list(NodePoolRevision.objects.current())
    seen = {row.name: row for row in NodePool.objects.present()}
    waiting = {
        row.pool: row for row in CapacityRequest.objects.open().select_related("requested_by")
    }
    return [_pool(row, seen.get(row.pool), waiting.get(row.pool)) for row in revisions]


def pool(name: str) -> Pool | None:
    """Return one pool; three queries."""
    revision = NodePoolRevision.objects.current_of(name)
    if revision is None:
        return None
    waiting = (
        CapacityRequest.objects.open().filter(pool=name).select_related("requested_by").first()
    )
    return _pool(revision, NodePool.objects.present().filter(name=name).first(), waiting)


def fit_of(settings: ServingSettings, *, needs_on_demand: bool) -> Fit:
    """Return whether the cluster's pools can buy what a version's settings ask for; three queries.

    A pool that the portal cannot read may buy anything: then what no other can is not known.
    """
    found = [item for item in pools() if item.seen is not None]
    readable = [item.spec for item in found if item.spec is not None]
    whole = len(readable) == len(found)
    return fit(settings, readable, needs_on_demand=needs_on_demand, whole=whole)


def buys_only_spot(instead: capacity.NodePool | None = None) -> bool:
    """Tell whether every pool of the cluster is known to buy Spot machines alone; three queries.

    instead: what one of them would say. False where there is no pool, or one that the portal cannot
    read.
    """
    found = {item.revision.pool: item.spec for item in pools() if item.seen is not None}
    if instead is not None:
        found[instead.name] = instead
    return bool(found) and all(
        spec is not None and ON_DEMAND not in spec.capacity_types for spec in found.values()
    )


def _pool(
    revision: NodePoolRevision, seen: NodePool | None, request: CapacityRequest | None
) -> Pool:
    try:
        return Pool(revision, read_revision(revision), "", seen, request)
    except BadCapacity as error:
        return Pool(revision, None, str(error), seen, request)


def effect_of(before: capacity.NodePool, after: capacity.NodePool, now: datetime) -> Effect:
    """Return what a change would do; six queries."""
    seen = NodePool.objects.present().filter(name=after.name).first()
    nodes = (
        Node.objects.present()
        .filter(node_pool=after.name)
        .values_list("name", "instance_type", "capacity_type")
    )
    machines = [effect.Machine(*row) for row in nodes]
    return Effect(
        changes=effect.changes(before, after),
        before=effect.most(before),
        after=effect.most(after),
        drifting=effect.drifting(machines, after),
        nodes=len(machines),
        exceeded=effect.exceeded(seen.usage if seen else {}, after),
        spot=effect.measure_spot(_spans(after.name, now)),
        only_spot=ON_DEMAND in before.capacity_types and buys_only_spot(after),
    )


def _spans(pool_name: str, now: datetime) -> list[effect.Span]:
    since = now - MEASURED
    rows = NodeInterval.objects.filter(node_claim__node_pool=pool_name, observed=True).exclude(
        ended_at__lt=since
    )
    return [
        effect.Span(
            instance_type=row.instance_type,
            capacity_type=row.capacity_type,
            usd_per_hour=row.price_usd_per_hour,
            is_simulated=prices.is_simulated(row.price_basis),
            from_at=max(row.started_at, since),
            to_at=row.ended_at or now,
        )
        for row in rows.order_by("-started_at")[:SPANS]
    ]
