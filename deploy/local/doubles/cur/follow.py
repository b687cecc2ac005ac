"""Bills the machines of the local cluster: it keeps a book of the NodeClaims that it saw, as AWS
keeps one of its instances, and delivers the month's bill anew every few minutes.

It knows the machines by itself and asks the portal nothing, so that the bill is a second source.
What was told on standard input of a month that still runs (the sample's machines) stays on its
bill; a month that was told as final is left alone. Spot machines are billed a little below the
price on their label, as real Spot prices move.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import time
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from deploy.local.cluster import instance_types
from deploy.local.cluster.api import Api, ApiError
from deploy.local.cluster.refresh import trust_of

from .delivery import Place, Put, deliver
from .rows import SPOT, Bill, Charge, Machine, rows
from .rows import bill_of as told_bill

LOOK_SECONDS, DELIVER_SECONDS = 20.0, 240.0
CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
SPOT_SHARE = Decimal("0.97")  # of the price on the label
STORAGE_USD_PER_HOUR = Decimal("0.011")
SETTLED = timedelta(days=3)  # after a month's end its bill is final
Json = dict[str, Any]


def follow(place: Place, put: Put) -> None:
    """Look and deliver until the process is ended."""
    book = Book(Path(os.environ["CUR_BOOK"]))
    delivered = -DELIVER_SECONDS
    while True:
        try:
            book.note(_claims(Path(os.environ["KUBECONFIG"])), datetime.now(UTC))
            if time.monotonic() - delivered >= DELIVER_SECONDS:
                deliver_due(book, place, put, datetime.now(UTC))
                delivered = time.monotonic()
        except (OSError, http.client.HTTPException, ApiError, yaml.YAMLError) as error:
            print(f"not now: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        time.sleep(LOOK_SECONDS)


class Book:
    """Every machine that was seen, in a file: uid → what the API said of it, and its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.machines: dict[str, Json] = json.loads(path.read_text()) if path.exists() else {}

    def remember(self, told: Json) -> None:
        """Keep what was told of a month's bill."""
        path = self._told_path(told["month"])
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(told))
        new.replace(path)

    def told(self, month: date) -> Bill | None:
        """Return what was told of a month's bill; None where nothing was."""
        path = self._told_path(f"{month:%Y-%m}")
        return told_bill(json.loads(path.read_text())) if path.exists() else None

    def _told_path(self, month: str) -> Path:
        return self._path.with_name(f"told-{month}.json")

    def note(self, claims: list[Json], now: datetime) -> None:
        """Note which claims are there; those that are gone have ended since the last look."""
        there = {claim["metadata"]["uid"]: claim for claim in claims}
        for uid, claim in there.items():
            seen = _seen(claim)
            if seen is not None:
                self.machines[uid] = seen | {"ends_at": None}
        for uid, seen in self.machines.items():
            if uid not in there and seen["ends_at"] is None:
                seen["ends_at"] = now.isoformat()
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.machines))
        new.replace(self._path)


def deliver_due(book: Book, place: Place, put: Put, now: datetime) -> None:
    """Deliver the month's bill, and that of the month before until it is final."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (month - timedelta(days=1)).replace(day=1)
    for begins in (before, month) if now - month < SETTLED + timedelta(hours=1) else (month,):
        known = book.told(begins.date())
        if known is not None and known.is_final:
            continue
        bill = bill_of(book, begins, now)
        execution_id = str(uuid.uuid4())
        deliver(put, place, bill.month, rows(bill, execution_id), execution_id)
        print(f"delivered {bill.month:%Y-%m}: {len(bill.machines)} machines", flush=True)


def bill_of(book: Book, begins: datetime, now: datetime) -> Bill:
    """Return the bill of the month that begins then, as far as usage is told."""
    ends = min((begins + timedelta(days=32)).replace(day=1), now)
    prices = {kind.name: kind for kind in instance_types.load()}
    found = tuple(
        _machine(seen, prices[seen["instance_type"]])
        for seen in book.machines.values()
        if seen["instance_type"] in prices and _overlaps(seen, begins, ends)
    )
    hours = sum((_hours(machine, begins, ends) for machine in found), Decimal(0))
    usd = hours * STORAGE_USD_PER_HOUR
    last = ends.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    told = book.told(begins.date())
    storage = Charge("Usage", "AmazonEC2", "EBS:VolumeUsage.gp3", usd, at=max(last, begins))
    bill = Bill(
        month=begins.date(),
        machines=found,
        until=ends,
        is_final=now - ends > SETTLED,
        charges=(storage,) if hours else (),
    )
    if told is None:
        return bill
    return replace(
        told,
        machines=told.machines + bill.machines,
        until=ends,
        is_final=bill.is_final,
        charges=told.charges + bill.charges,
    )


def _overlaps(seen: Json, begins: datetime, ends: datetime) -> bool:
    ended = seen["ends_at"]
    return datetime.fromisoformat(seen["begins_at"]) < ends and (
        ended is None or datetime.fromisoformat(ended) > begins
    )


def _hours(machine: Machine, begins: datetime, ends: datetime) -> Decimal:
    ran = min(machine.ends_at or ends, ends) - max(machine.begins_at, begins)
    return Decimal(ran // timedelta(seconds=1)) / 3600


def _machine(seen: Json, kind: instance_types.InstanceType) -> Machine:
    is_spot = seen["bought"] == SPOT
    usd = kind.spot_usd(seen["zone"]) * SPOT_SHARE if is_spot else kind.on_demand_usd
    return Machine(
        resource=seen["resource"],
        instance_type=kind.name,
        zone=seen["zone"],
        bought=seen["bought"],
        begins_at=datetime.fromisoformat(seen["begins_at"]),
        ends_at=datetime.fromisoformat(seen["ends_at"]) if seen["ends_at"] else None,
        usd_per_hour=usd,
        on_demand_usd_per_hour=kind.on_demand_usd,
    )


def _seen(claim: Json) -> Json | None:
    """Return what is billed of a claim; None until its machine is launched."""
    labels, status = claim["metadata"].get("labels", {}), claim.get("status", {})
    launched = next(
        (
            each["lastTransitionTime"]
            for each in status.get("conditions", [])
            if each["type"] == "Launched" and each["status"] == "True"
        ),
        None,
    )
    if launched is None or not status.get("providerID"):
        return None
    return {
        "resource": status["providerID"].rpartition("/")[2],
        "instance_type": labels.get("node.kubernetes.io/instance-type", ""),
        "zone": labels.get("topology.kubernetes.io/zone", ""),
        "bought": labels.get("karpenter.sh/capacity-type", ""),
        "begins_at": launched.replace("Z", "+00:00"),
    }


def _claims(kubeconfig: Path) -> list[Json]:
    config = yaml.safe_load(kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"]).netloc
    with Api(server, trust_of(config)) as api:
        found: list[Json] = api.request("GET", CLAIMS)["items"]
        return found
