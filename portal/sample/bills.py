"""Bills of the sample's machines: what the product knows of them, told to the program that plays
AWS Data Exports (`python -m deploy.local.doubles.cur`), which delivers them where bills are read
from.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings

from apps.common.periods import DAY, day_of, month_bounds, start_of_day
from apps.fleet import intervals
from apps.fleet.intervals import Part
from apps.manifests.capacity import SPOT

TIMEOUT_SECONDS = 120
# what the sample's company pays besides machines: a month, a credit, a day, a day
SUPPORT_USD, CREDIT_USD = Decimal(100), Decimal(250)
STORAGE_USD, TRANSFER_USD = Decimal("11.52"), Decimal("2.35")
SPOT_SHARE = Decimal("0.97")  # of the price on the label
Told = dict[str, Any]


def bill_of(
    month: date,
    *,
    until: datetime | None = None,
    is_final: bool = False,
    charges: Iterable[Told] = (),
    plan: Told | None = None,
    tax_percent: Decimal = Decimal(0),
    spot_share: Decimal = Decimal(1),
    daily: bool = True,
) -> Told:
    """Return what the program needs to bill the machines of a month, as it is known now.

    until: how far machines are known; usage is told of the whole days before it. The month's end if
    left out. charges, plan: as the program takes them. spot_share: of the known price, what Spot
    machines are billed at. Machines without a price are billed on demand by the price list, or not
    at all.
    """
    start, end = month_bounds(month)
    known = min(end, until) if until else end
    ends = start_of_day(day_of(known))
    parts = intervals.parts_within(start, max(start, known))
    machines = [told for part in parts if (told := _machine(part, spot_share)) is not None]
    return {
        "month": f"{month:%Y-%m}",
        "until": ends.isoformat(),
        "is_final": is_final,
        "daily": daily,
        "tax_percent": str(tax_percent),
        "machines": machines,
        "charges": list(charges),
        "plan": plan,
    }


def other_charges(month: date, until: datetime) -> list[Told]:
    """Return what a company's bill has beside machines, until a moment: storage and data transfer
    day by day, support, and a credit every third month.
    """
    start, end = month_bounds(month)
    found: list[Told] = [_charge("Fee", "AWSSupportBusiness", "", SUPPORT_USD)]
    if month.month % 3 == 0:
        found.append(_charge("Credit", "AmazonEC2", "", -CREDIT_USD))
    at = start
    while at + DAY <= min(end, until):
        found.append(_charge("Usage", "AmazonEC2", "EBS:VolumeUsage.gp3", STORAGE_USD, at))
        found.append(_charge("Usage", "AmazonEC2", "DataTransfer-Out-Bytes", TRANSFER_USD, at))
        at += DAY
    return found


def _charge(
    line_type: str, service: str, usage_type: str, usd: Decimal, at: datetime | None = None
) -> Told:
    return {
        "line_type": line_type,
        "service": service,
        "usage_type": usage_type,
        "usd": str(usd),
        "at": None if at is None else at.isoformat(),
    }


def _machine(part: Part, spot_share: Decimal) -> Told | None:
    span = part.span
    usd = part.price.usd_per_hour or part.listed_usd_per_hour
    if usd is None or not span.instance_type:
        return None
    is_spot = span.capacity_type == SPOT
    return {
        "resource": span.node_claim.resource_id or span.node_claim.name,
        "instance_type": span.instance_type,
        "zone": span.zone,
        "bought": span.capacity_type,
        "begins_at": part.from_at.isoformat(),
        "ends_at": part.to_at.isoformat(),
        "usd_per_hour": str(usd * spot_share if is_spot else usd),
        "on_demand_usd_per_hour": str(part.listed_usd_per_hour or usd),
    }


def deliver(bills: Iterable[Told], command: Sequence[str], *, env: dict[str, str]) -> str:
    """Have the program deliver bills; return what it says. env: what it reads besides this
    process's own variables (the keys of whoever may write bills). Raises CalledProcessError.
    """
    lines = "".join(json.dumps(bill) + "\n" for bill in bills)
    place = {
        "CUR_BUCKET": settings.CUR_BUCKET,
        "CUR_PREFIX": settings.CUR_PREFIX,
        "CUR_EXPORT": settings.CUR_EXPORT,
    }
    done = subprocess.run(  # noqa: S603 (a program that the stack names)
        command,
        input=lines,
        env=os.environ | place | env,
        text=True,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=True,
    )
    return done.stdout
