"""What an evaluation's machines may cost at most, in dollars. Pure.

The bound counts each side's whole machine at the list price of an on-demand one, from when it was
launched: a Spot machine, a contract or a machine that others share costs less, never more. A price
that nobody knows is no price: then there is no figure, and only the limits of time hold.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.evals.models import EvalRun

Price = Callable[[str], Decimal | None]  # instance type → dollars an hour
HOUR = Decimal(3600)


def spent(machines: Mapping[str, Mapping[str, Any]], price: Price, at: datetime) -> Decimal | None:
    """Return what machines may have cost until a moment: dollars, 4 decimals; 0 where none was
    seen, None where one of them has no price.

    machines: side → {"instance_type":, "since": ISO time, "earlier": the same of those whose place
    it took, each with "until"}.
    """
    total = Decimal(0)
    for last in machines.values():
        for machine in (last, *last.get("earlier", ())):
            hourly = price(str(machine.get("instance_type", "")))
            if hourly is None:
                return None
            until = datetime.fromisoformat(machine["until"]) if "until" in machine else at
            seconds = (until - datetime.fromisoformat(machine["since"])).total_seconds()
            total += hourly * Decimal(str(max(0.0, seconds))) / HOUR
    return total.quantize(Decimal("0.0001"))


def spent_by(run: EvalRun, price: Price, at: datetime) -> Decimal | None:
    """Return what a run's machines may have cost until a moment, as spent does; None too where a
    side answers on a machine that nobody saw.
    """
    if run.serving_at is not None and any(side not in run.machines for side in run.sides):
        return None
    return spent(run.machines, price, at)


def expected(types: Sequence[str], price: Price, length: timedelta) -> Decimal | None:
    """Return what machines of these types cost for so long; None where one has no price."""
    found = [price(each) for each in types]
    hourly = sum((each for each in found if each is not None), Decimal(0))
    if not types or None in found:
        return None
    return (hourly * Decimal(str(length.total_seconds())) / HOUR).quantize(Decimal("0.0001"))
