"""Stores what a look at the gateway found: readings as they are, differences with their beginning
and end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.gateway.effective.compare import Difference
from apps.gateway.effective.models import GatewayDrift, GatewayLook, RouteReading


@dataclass(frozen=True)
class Found:
    """What was found of a model. cluster, envoy: None where it was not read now."""

    cluster: Mapping[str, Any] | None
    envoy: Mapping[str, Any] | None
    differences: Sequence[Difference]


@dataclass(frozen=True)
class Read:
    """How the look went. problem: why a place could not be read, "" where it was. gate: what became
    of the gate's policy, "" where that was not read.
    """

    cluster_problem: str
    envoy_problem: str
    gate: str = ""
    gate_says: str = ""


@transaction.atomic
def record_look(*, read: Read, found: Mapping[int, Found], now: datetime) -> None:
    """Store a look at the whole gateway. found: model → what was found of it.

    What was read before stays where a place could not be read now, and so do its differences:
    nobody has seen them end.
    """
    _record_read(read, now)
    _record_readings(found)
    places = [
        place
        for place, problem in (
            (GatewayDrift.Place.CLUSTER, read.cluster_problem),
            (GatewayDrift.Place.ENVOY, read.envoy_problem),
        )
        if not problem
    ]
    _record_differences(found, places, now)


def _record_read(read: Read, now: datetime) -> None:
    values: dict[str, Any] = {
        "looked_at": now,
        "cluster_problem": read.cluster_problem,
        "envoy_problem": read.envoy_problem,
    }
    if not read.cluster_problem:
        values |= {"cluster_read_at": now, "gate": read.gate, "gate_says": read.gate_says}
    if not read.envoy_problem:
        values["envoy_read_at"] = now
    GatewayLook.objects.update_or_create(pk=1, defaults=values)


def _record_readings(found: Mapping[int, Found]) -> None:
    known = {row.registered_model_id: row for row in RouteReading.objects.select_for_update()}
    new, changed = [], []
    for key, each in found.items():
        row = known.get(key) or RouteReading(registered_model_id=key)
        before = row.cluster, row.envoy
        row.cluster = dict(each.cluster) if each.cluster is not None else row.cluster
        row.envoy = dict(each.envoy) if each.envoy is not None else row.envoy
        if key not in known:
            new.append(row)
        elif (row.cluster, row.envoy) != before:
            changed.append(row)
    RouteReading.objects.bulk_create(new, batch_size=100)
    RouteReading.objects.bulk_update(changed, ["cluster", "envoy"], batch_size=100)


def _record_differences(found: Mapping[int, Found], places: Sequence[str], now: datetime) -> None:
    rows = GatewayDrift.objects.present().filter(place__in=places).select_for_update()
    known = {(row.registered_model_id, row.place, row.what, row.subject): row for row in rows}
    new, changed = [], []
    for key, each in found.items():
        for one in each.differences:
            row = known.pop((key, *one.key), None)
            if row is None:
                new.append(
                    GatewayDrift(
                        registered_model_id=key, place=one.place, what=one.what,
                        subject=one.subject, declared=one.declared, found=one.found, since=now,
                        seen_at=now,
                    )
                )  # fmt: skip
                continue
            row.declared, row.found, row.seen_at = one.declared, one.found, now
            changed.append(row)
    for row in known.values():
        row.ended_at = now
    GatewayDrift.objects.bulk_create(new, batch_size=500)
    GatewayDrift.objects.bulk_update(changed, ["declared", "found", "seen_at"], batch_size=500)
    GatewayDrift.objects.bulk_update(list(known.values()), ["ended_at"], batch_size=500)
