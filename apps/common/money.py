"""How money is shown, for everybody who shows it. Amounts stay exact decimals; showing never
changes what is stored or summed.

- an amount: two decimals, or "< $0.01" (`usd`), with every digit on hover (`shown`, which is the
  filter `|usd` of templates); every digit in exports (`exact`)
- a price of something that is bought by the million or by the hour: all the digits that it has
  (`unit_price`)
- an estimate or a forecast: no more digits than it deserves (`about_usd`, `about_range_usd`)
"""

from decimal import ROUND_HALF_EVEN, Decimal

from django.utils.html import format_html

CENT = Decimal("0.01")
NO_PRICE = "no price"  # an amount is unknown only where a price is
KNOWN_DIGITS = 3  # of an estimate


def usd(amount: Decimal | None) -> str:
    """Return "$1,234.50"; "< $0.01" for less than a cent that is not nothing; "no price" for
    None.
    """
    if amount is None:
        return NO_PRICE
    if 0 < abs(amount) < CENT:
        return "< $0.01" if amount > 0 else "> −$0.01"
    rounded = amount.quantize(CENT, ROUND_HALF_EVEN)
    return f"{'−' if rounded < 0 else ''}${abs(rounded):,.2f}"


def shown(amount: Decimal | None) -> str:
    """Return an amount as HTML: as `usd` words it, and exact on hover where that says more."""
    words = usd(amount)
    whole = exact_usd(amount)
    if amount is None or amount == amount.quantize(CENT):
        return words
    return format_html('<span title="{}">{}</span>', whole, words)


def unit_price(amount: Decimal | None) -> str:
    """Return a price per million tokens or per hour with every digit that it has, two decimals at
    least: "$0.012", "$1.10".
    """
    if amount is None:
        return NO_PRICE
    decimals = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"${amount:,.{decimals}f}"


def about_usd(amount: Decimal | None) -> str:
    """Return an estimate as people say it: "about $588", "about $1.23", "less than $0.01".

    Cents below ten dollars, whole dollars from there on, and never more than three digits that
    count.
    """
    if amount is None:
        return NO_PRICE
    return "less than $0.01" if 0 < amount < CENT else f"about {_estimate(amount)}"


def about_range_usd(low: Decimal, high: Decimal) -> str:
    """Return an estimate that has two bounds: "about $1,240 to $1,410"; one figure where both are
    said alike. low is not above high.
    """
    if high < CENT or _estimate(low) == _estimate(high):
        return about_usd(high)
    if low < CENT:
        return f"at most {about_usd(high)}"
    return f"about {_estimate(low)} to {_estimate(high)}"


def _estimate(amount: Decimal) -> str:
    """Return the amount with the digits that an estimate deserves."""
    if abs(amount) < 10:
        return usd(amount)
    places = min(0, KNOWN_DIGITS - 1 - amount.adjusted())
    return f"${round(amount, places):,.0f}"


def exact(amount: Decimal) -> str:
    """Return an amount as exports give it: every digit that counts, none of the empty ones that
    dividing left, no exponent. Equal amounts give the same text, however many digits they have.
    """
    text = f"{amount:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("", "-0") else text


def exact_usd(amount: Decimal | None) -> str:
    """Return every digit of an amount, for what stands on hover: "$0.000843". Nothing for None."""
    if amount is None:
        return ""
    return f"{'−' if amount < 0 else ''}${exact(abs(amount))}"
