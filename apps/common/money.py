"""How money is shown. Amounts stay exact decimals; showing never changes what is stored or
summed.
"""

from decimal import ROUND_HALF_EVEN, Decimal


def usd(amount: Decimal | None) -> str:
    """Return "$1,234.50"; below one dollar up to four decimals, below a cent up to eight; "—" for
    None.

    Small amounts keep their digits: a call costs fractions of a cent, and "$0.00" would hide it.
    """
    if amount is None:
        return "—"
    size = abs(amount)
    places = 2 if size >= 1 or not size else 4 if size >= Decimal("0.01") else 8
    rounded = size.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    sign = "−" if amount < 0 and rounded else ""
    whole, _, decimals = f"{rounded:,.{places}f}".partition(".")
    return f"{sign}${whole}.{decimals.rstrip('0').ljust(2, '0')}"


def about_usd(amount: Decimal | None) -> str:
    """Return an estimate as people say it: below one cent its first two digits that count,
    "$0.00084".
    """
    if amount is None or not amount or abs(amount) >= Decimal("0.01"):
        return usd(amount)
    return usd(round(amount, 1 - amount.adjusted()))


def exact(amount: Decimal) -> str:
    """Return an amount as exports give it: every digit that counts, none of the empty ones that
    dividing left.
    """
    return f"{amount.normalize():f}"
