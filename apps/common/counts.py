"""How many of something there are, in words: "1 hour", "2,000 hours are"."""

from decimal import Decimal


def counted(number: int | Decimal, one: str, several: str = "") -> str:
    """Return a number with its noun, and a verb where there is one.

    one: for exactly one, "hour is"; several: for any other number, with an s at the end of `one`
    where it is left out. A fraction keeps its digits.
    """
    words = one if number == 1 else several or f"{one}s"
    return f"{number:,f} {words}" if isinstance(number, Decimal) else f"{number:,} {words}"


def sentence(parts: list[str]) -> str:
    """Return parts as one sentence, each a clause of it; "" where there is none."""
    joined = "; ".join(parts)
    return f"{joined[0].upper()}{joined[1:]}." if joined else ""
