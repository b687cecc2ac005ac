"""Tells the observer's actions what a company's cluster had, a week at a time: machines, nodes and
replicas that came and went, with the moments at which they did.

A week is written in one transaction and leaves nothing present: what really is in the cluster stays
the business of the observer, whose lists would end everything that they do not hold.
"""

from collections.abc import Iterable
from datetime import date, datetime
from uuid import NAMESPACE_URL, uuid5

from django.db import transaction

from apps.fleet.actions import record_events, record_listed, record_seen
from apps.fleet.models import SIMULATED_MACHINE, Node, NodeClaim, Replica
from apps.fleet.sightings import Seen, SeenEvent
from apps.manifests.names import MODELS
from portal.sample.company import Company
from portal.sample.machines import RECLAIMED, Machine, Pod, machines

ENGINE = "vllm 0.26.0"


@transaction.atomic
def tell_week(company: Company, monday: date) -> int:
    """Write the machines of a week, each with its end; return how many are new."""
    known = set(
        NodeClaim.objects.filter(uid__in=[_uid("claim", one) for one in machines(company, monday)])
        .order_by()
        .values_list("name", flat=True)
    )
    fresh = [one for one in machines(company, monday) if one.name not in known]
    if not fresh:
        return 0
    first, last = min(one.created_at for one in fresh), max(one.ended_at for one in fresh)
    record_seen(model=NodeClaim, seen=[_claim(one) for one in fresh], now=last)
    record_seen(model=Node, seen=[_node(one) for one in fresh], now=last)
    record_seen(model=Replica, seen=[_pod(one, one.pod) for one in fresh if one.pod], now=last)
    record_events(events=list(_events(fresh)), now=last)
    _end_pods(fresh)
    for model, kind in ((Node, "node"), (NodeClaim, "claim")):
        gone = [_uid(kind, one) for one in fresh]
        # when each of them went, its events tell
        record_listed(model=model, seen=[], scope={"uid__in": gone}, seen_until=first, now=last)
    return len(fresh)


def _end_pods(told: Iterable[Machine]) -> None:
    """Write that replicas are gone, those that went together at once: no event tells when."""
    together: dict[datetime, list[str]] = {}
    for one in told:
        if one.pod:
            together.setdefault(one.pod.ended_at, []).append(_uid("pod", one))
    for at, uids in sorted(together.items()):
        record_listed(model=Replica, seen=[], scope={"uid__in": uids}, seen_until=at, now=at)


def _uid(kind: str, one: Machine) -> str:
    return str(uuid5(NAMESPACE_URL, f"sample/{kind}/{one.name}"))


def _claim(one: Machine) -> Seen:
    waited = f"Pod {MODELS}/{one.pod.name} waited for a GPU" if one.pod else ""
    told = {
        "node_name": one.node_name,
        "provider_id": f"{SIMULATED_MACHINE}{one.name}",
        "launched_at": one.launched_at,
        "registered_at": one.registered_at,
        "initialized_at": one.initialized_at,
        "launch_reason": waited,
        "end_reason": one.end_reason,
    }
    return Seen(_uid("claim", one), one.name, 1, one.created_at, _machine(one) | told)


def _node(one: Machine) -> Seen:
    told = _machine(one) | {"is_ready": True, "is_unschedulable": False}
    return Seen(_uid("node", one), one.node_name, 1, one.registered_at, told)


def _machine(one: Machine) -> dict[str, object]:
    return {
        "node_pool": one.pool,
        "instance_type": one.instance_type,
        "zone": one.zone,
        "capacity_type": one.capacity_type,
        "gpu_count": one.gpus,
        "price_usd_per_hour": one.usd_per_hour,
        "price_basis": one.price_basis,
    }


def _pod(one: Machine, pod: Pod) -> Seen:
    told = {
        "namespace": MODELS,
        "service": pod.service,
        "model": pod.model,
        "version": pod.version,
        "node_name": one.node_name,
        "node_claim_name": one.name,
        "gpu_count": pod.gpus,
        "engine": ENGINE,
        "started_at": pod.started_at,
        "ready_at": pod.ready_at,
        "is_ready": True,
    }
    phases = (
        ("SCHEDULED", pod.scheduled_at),
        ("IMAGE", pod.pulled_at),
        ("WEIGHTS", pod.loaded_at),
        ("ENGINE", pod.started_at),
        ("READY", pod.ready_at),
    )
    return Seen(_uid("pod", one), pod.name, 1, pod.created_at, told, phases)


def _events(told: Iterable[Machine]) -> Iterable[SeenEvent]:
    """Yield what was said of the machines: that each is gone, and which ones AWS took back."""
    for one in told:
        about = ("NodeClaim", one.name, _uid("claim", one))
        yield _event(one, "Finalized", "Finalized karpenter.sh/termination", about)
        node = ("Node", one.node_name, _uid("node", one))
        yield _event(one, "Finalized", "Finalized karpenter.sh/termination", node)
        if one.end_reason == RECLAIMED:
            yield _event(one, "SpotInterrupted", "Spot interruption warning was triggered", about)


def _event(one: Machine, reason: str, message: str, about: tuple[str, str, str]) -> SeenEvent:
    kind, name, uid = about
    return SeenEvent(
        uid=_uid(f"{reason} {kind}", one),
        type="Warning" if reason == "SpotInterrupted" else "Normal",
        reason=reason,
        object_kind=kind,
        object_namespace="",
        object_name=name,
        object_uid=uid,
        field_path="",
        message=message,
        first_at=one.ended_at,
        last_at=one.ended_at,
        count=1,
    )
