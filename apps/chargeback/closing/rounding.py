"""Exact amounts into cents, once. Pure."""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """Return an amount in whole cents, half to even."""
    return amount.quantize(CENT, ROUND_HALF_EVEN)


def in_cents(exact: Sequence[Decimal]) -> list[Decimal]:
    """Return each amount in whole cents, so that they sum to the rounded sum of the exact ones.

    Largest remainder: each is rounded down, and the cents that are missing go to those that lost
    most, the earlier first among equals. No amount moves by a cent or more. Negative ones too.
    """
    floors = [amount.quantize(CENT, ROUND_FLOOR) for amount in exact]
    missing = int((cents(sum(exact, Decimal(0))) - sum(floors, Decimal(0))) / CENT)
    lost = sorted(range(len(exact)), key=lambda place: floors[place] - exact[place])
    for place in lost[:missing]:
        floors[place] += CENT
    return floors
