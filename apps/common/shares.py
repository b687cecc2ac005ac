"""Dividing a whole so that its parts sum to it again, to the last digit: the largest remainder.

Whoever shares money, time or ratios out uses these, so that no page has to explain a stray digit.
Pure.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import lcm

Weight = int | Fraction


def split(total: int, weights: Sequence[Weight]) -> list[int]:
    """Return whole parts of `total` in proportion to `weights`; they sum to it.

    What flooring leaves over goes, one each, to those who lost most by it; of equal ones, to the
    first. total, weights: ≥ 0. Raises ValueError for one below zero, and where there is something
    to divide and nobody to take it.
    """
    sizes = _whole(weights)
    whole = sum(sizes)
    if total < 0 or min(sizes, default=0) < 0 or (total and not whole):
        raise ValueError(f"{total} cannot be divided by {list(weights)}")
    if not total:
        return [0] * len(sizes)
    parts = [total * size // whole for size in sizes]
    lost = sorted(range(len(sizes)), key=lambda place: -(total * sizes[place] % whole))
    for place in lost[: total - sum(parts)]:
        parts[place] += 1
    return parts


def decimals(amounts: Sequence[Fraction], *, places: int) -> list[Decimal]:
    """Return amounts ≥ 0 with so many decimals; they sum to the rounded sum of the exact ones.

    The sum is rounded once, half to even; no part is more than one last digit from its amount.
    """
    units = round(sum(amounts, Fraction(0)) * 10**places)
    if not units:
        return [Decimal(0)] * len(amounts)
    return [Decimal(part).scaleb(-places) for part in split(units, amounts)]


def ratios(weights: Sequence[Weight], *, places: int) -> list[Decimal]:
    """Return each weight's part of all, with so many decimals; they sum to exactly 1.

    Raises ValueError where all weights are 0.
    """
    return [Decimal(part).scaleb(-places) for part in split(10**places, weights)]


def _whole(weights: Sequence[Weight]) -> list[int]:
    """Return whole numbers in the proportion of the weights."""
    scale = lcm(*(weight.denominator for weight in weights))
    return [weight.numerator * (scale // weight.denominator) for weight in weights]
