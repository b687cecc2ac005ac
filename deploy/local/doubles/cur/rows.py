"""The lines of a month's bill, from what machines there were. Pure.

As AWS does it: usage hour by hour (or by the day), amounts as floating-point numbers, ids of lines
that change with each delivery, covered usage of a savings plan with its negation and the plan's
fee, tax and other charges of the whole month, and no invoice until the bill is final.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

PAYER = "000000000000"
ACCOUNT = "000000000000"
SPOT = "spot"
HOME = "us-east-1"  # the region whose usage types have no code in front
CODES = {"us-east-2": "USE2", "us-west-1": "USW1", "us-west-2": "USW2", "eu-central-1": "EUC1"}
TEN_PLACES = Decimal("0.0000000001")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
Row = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    """An EC2 instance over [begins_at, ends_at), None while it runs. resource: its id.

    usd_per_hour: what is charged; on_demand_usd_per_hour: by the public price list.
    """

    resource: str
    instance_type: str
    zone: str
    bought: str
    begins_at: datetime
    ends_at: datetime | None
    usd_per_hour: Decimal
    on_demand_usd_per_hour: Decimal

    @property
    def region(self) -> str:
        """Return the region of its zone."""
        return self.zone.rstrip("abcdef")


@dataclass(frozen=True)
class Charge:
    """What is charged besides machines, at a moment or for the whole month (at: None)."""

    line_type: str
    service: str
    usage_type: str
    usd: Decimal
    at: datetime | None = None
    resource: str = ""


@dataclass(frozen=True)
class Plan:
    """A Compute Savings Plan: an hourly commitment that covers usage on demand at a discount."""

    arn: str
    usd_per_hour: Decimal
    discount: Decimal  # 0.4: 40 % below the public price


@dataclass(frozen=True)
class Bill:
    """A month's bill as it is at a moment. until: how far usage is told. step: of usage lines."""

    month: date
    machines: tuple[Machine, ...]
    until: datetime
    is_final: bool = False
    charges: tuple[Charge, ...] = ()
    plan: Plan | None = None
    tax_percent: Decimal = Decimal(0)
    currency: str = "USD"
    step: timedelta = HOUR


def rows(bill: Bill, execution_id: str) -> Iterator[Row]:
    """Yield the lines of a bill, in no order that means anything."""
    begins, ends = bounds(bill.month, bill.until)
    ids = random.Random(execution_id)  # noqa: S311 (ids of lines, nothing secret)
    total = Decimal(0)
    for line in _lines(bill, begins, ends):
        total += Decimal(str(line["line_item_unblended_cost"]))
        yield _common(bill, begins, ids) | line
    if bill.tax_percent and total > 0:
        tax = Charge("Tax", "AmazonEC2", "", total * bill.tax_percent / 100)
        yield _common(bill, begins, ids) | _charge(tax, begins, bill.month)


def bounds(month: date, until: datetime) -> tuple[datetime, datetime]:
    """Return the time of a month that is over at a moment."""
    begins = datetime(month.year, month.month, 1, tzinfo=until.tzinfo)
    return begins, min(_next_month(begins), until)


def _next_month(begins: datetime) -> datetime:
    return (begins + 32 * DAY).replace(day=1)


def _lines(bill: Bill, begins: datetime, ends: datetime) -> Iterator[Row]:
    used: dict[datetime, Decimal] = {}
    for machine in bill.machines:
        for at, hours in _steps(machine, begins, ends, bill.step):
            yield from _usage(bill, machine, at, hours, used)
    if bill.plan is not None:
        yield from _fees(bill, bill.plan, begins, ends, used)
    for charge in bill.charges:
        yield _charge(charge, charge.at or begins, bill.month)


def _steps(
    machine: Machine, begins: datetime, ends: datetime, step: timedelta
) -> Iterator[tuple[datetime, Decimal]]:
    """Yield the steps in which a machine ran, each with its hours."""
    first = max(machine.begins_at, begins)
    last = min(machine.ends_at or ends, ends)
    at = begins + (first - begins) // step * step
    while at < last:
        ran = min(at + step, last) - max(at, first)
        if ran > timedelta(0):
            yield at, Decimal(ran // timedelta(microseconds=1)) / Decimal(3_600_000_000)
        at += step


def _usage(
    bill: Bill, machine: Machine, at: datetime, hours: Decimal, used: dict[datetime, Decimal]
) -> Iterator[Row]:
    code = CODES.get(machine.region, "" if machine.region == HOME else machine.region.upper())
    kind = "SpotUsage" if machine.bought == SPOT else "BoxUsage"
    usage_type = f"{code}{'-' if code else ''}{kind}:{machine.instance_type}"
    line = {
        "line_item_line_item_type": "Usage",
        "line_item_usage_start_date": at,
        "line_item_usage_end_date": at + bill.step,
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": usage_type,
        "line_item_operation": "RunInstances:SV001" if machine.bought == SPOT else "RunInstances",
        "line_item_availability_zone": machine.zone,
        "line_item_resource_id": machine.resource,
        "line_item_usage_amount": _number(hours),
        "line_item_unblended_cost": _number(machine.usd_per_hour * hours),
        "product_instance_type": machine.instance_type,
        "product_region_code": machine.region,
        "pricing_term": "Spot" if machine.bought == SPOT else "OnDemand",
        "pricing_public_on_demand_cost": _number(machine.on_demand_usd_per_hour * hours),
    }
    covered = _covered(bill, machine, at, hours, used)
    if covered is None:
        yield line
        return
    plan, effective = covered
    listed = _number(machine.on_demand_usd_per_hour * hours)
    told = {"savings_plan_savings_plan_a_r_n": plan.arn}
    yield (
        line
        | told
        | {
            "line_item_line_item_type": "SavingsPlanCoveredUsage",
            "line_item_unblended_cost": listed,
            "savings_plan_savings_plan_effective_cost": _number(effective),
        }
    )
    yield (
        line
        | told
        | {
            "line_item_line_item_type": "SavingsPlanNegation",
            "line_item_unblended_cost": -listed,
            "pricing_public_on_demand_cost": 0.0,
        }
    )


def _covered(
    bill: Bill, machine: Machine, at: datetime, hours: Decimal, used: dict[datetime, Decimal]
) -> tuple[Plan, Decimal] | None:
    """Return the plan and what usage costs under it, where the plan's hour has room for it."""
    plan = bill.plan
    if plan is None or machine.bought == SPOT:
        return None
    effective = machine.on_demand_usd_per_hour * hours * (1 - plan.discount)
    committed = plan.usd_per_hour * Decimal(bill.step // HOUR)
    if used.get(at, Decimal(0)) + effective > committed:
        return None
    used[at] = used.get(at, Decimal(0)) + effective
    return plan, effective


def _fees(
    bill: Bill, plan: Plan, begins: datetime, ends: datetime, used: dict[datetime, Decimal]
) -> Iterator[Row]:
    committed = plan.usd_per_hour * Decimal(bill.step // HOUR)
    at = begins
    while at < ends:
        yield {
            "line_item_line_item_type": "SavingsPlanRecurringFee",
            "line_item_usage_start_date": at,
            "line_item_usage_end_date": at + bill.step,
            "line_item_product_code": "ComputeSavingsPlans",
            "line_item_usage_type": "ComputeSP:1yrNoUpfront",
            "line_item_resource_id": plan.arn,
            "line_item_usage_amount": 1.0,
            "line_item_unblended_cost": _number(committed),
            "savings_plan_savings_plan_a_r_n": plan.arn,
            "savings_plan_total_commitment_to_date": _number(committed),
            "savings_plan_used_commitment": _number(used.get(at, Decimal(0))),
        }
        at += bill.step


def _charge(charge: Charge, at: datetime, month: date) -> Row:
    begins = at.replace(year=month.year, month=month.month, day=1, hour=0)
    whole = charge.at is None
    return {
        "line_item_line_item_type": charge.line_type,
        "line_item_usage_start_date": begins if whole else at,
        "line_item_usage_end_date": _next_month(begins) if whole else at + HOUR,
        "line_item_product_code": charge.service,
        "line_item_usage_type": charge.usage_type,
        "line_item_resource_id": charge.resource,
        "line_item_usage_amount": 1.0,
        "line_item_unblended_cost": _number(charge.usd),
    }


def _common(bill: Bill, begins: datetime, ids: random.Random) -> Row:
    return {
        "identity_line_item_id": f"{ids.getrandbits(128):032x}",
        "bill_billing_period_start_date": begins,
        "bill_billing_period_end_date": _next_month(begins),
        "bill_payer_account_id": PAYER,
        "bill_bill_type": "Anniversary",
        "bill_invoice_id": f"SIM{bill.month:%Y%m}" if bill.is_final else "",
        "line_item_usage_account_id": ACCOUNT,
        "line_item_currency_code": bill.currency,
    }


def _number(amount: Decimal) -> float:
    """Return an amount as AWS tells it: ten decimals, as a floating-point number."""
    return float(amount.quantize(TEN_PLACES, ROUND_HALF_EVEN))


def machines_of(told: Iterable[dict[str, Any]]) -> tuple[Machine, ...]:
    """Return machines from JSON: times as ISO text, amounts as text."""
    return tuple(
        Machine(
            resource=each["resource"],
            instance_type=each["instance_type"],
            zone=each.get("zone") or "us-east-1a",
            bought=each["bought"],
            begins_at=datetime.fromisoformat(each["begins_at"]),
            ends_at=datetime.fromisoformat(each["ends_at"]) if each.get("ends_at") else None,
            usd_per_hour=Decimal(each["usd_per_hour"]),
            on_demand_usd_per_hour=Decimal(
                each.get("on_demand_usd_per_hour") or each["usd_per_hour"]
            ),
        )
        for each in told
    )


def bill_of(told: dict[str, Any]) -> Bill:
    """Return a bill from JSON."""
    plan = told.get("plan")
    return Bill(
        month=date.fromisoformat(f"{told['month']}-01"),
        machines=machines_of(told["machines"]),
        until=datetime.fromisoformat(told["until"]),
        is_final=bool(told.get("is_final")),
        charges=tuple(
            Charge(
                each["line_type"], each["service"], each.get("usage_type", ""),
                Decimal(each["usd"]),
                datetime.fromisoformat(each["at"]) if each.get("at") else None,
                each.get("resource", ""),
            )
            for each in told.get("charges", ())
        ),
        plan=plan
        and Plan(plan["arn"], Decimal(plan["usd_per_hour"]), Decimal(plan["discount"])),
        tax_percent=Decimal(told.get("tax_percent", "0")),
        step=DAY if told.get("daily") else HOUR,
    )  # fmt: skip
