"""How a model's prices are said in a line: on cards, in forms, in the catalog's table."""

from dataclasses import dataclass
from decimal import Decimal

from apps.chargeback.prices.suggestions import Suggestion
from apps.chargeback.rating import Prices
from apps.common.counts import counted
from apps.common.money import unit_price, usd
from apps.common.periods import day_of, day_words, last_day
from apps.metering.skus import TOKEN_SKUS, UNITS, Sku

SHORT = {
    Sku.INPUT: "in",
    Sku.CACHED_INPUT: "cached",
    Sku.OUTPUT: "out",
    Sku.EMBEDDING_INPUT: "embedded",
}


@dataclass(frozen=True)
class PriceWords:
    """What is said of a model's prices; "" where there is nothing to say.

    tokens: "$0.12 in · $0.012 cached · $0.36 out", for a million tokens each. main: the same
    without cached ones, and cached: of these alone. others: "$2.00 / 1,000 requests".
    """

    tokens: str
    main: str
    cached: str
    others: str

    @property
    def rest(self) -> str:
        """Return what `main` leaves out."""
        return " · ".join(part for part in (self.cached, self.others) if part)


def price_words(prices: Prices | None) -> PriceWords | None:
    """Return a model's prices in words; None where it has none."""
    if prices is None:
        return None
    known = prices.by_sku
    tokens = {
        sku: f"{unit_price(usd)} {SHORT[sku]}" for sku, usd in known.items() if sku in TOKEN_SKUS
    }
    main = [words for sku, words in tokens.items() if sku is not Sku.CACHED_INPUT]
    others = [
        f"{unit_price(usd)} / {UNITS[sku].per_words}"
        for sku, usd in known.items()
        if sku not in TOKEN_SKUS
    ]
    return PriceWords(
        tokens=" · ".join(tokens.values()),
        main=" · ".join(main),
        cached=tokens.get(Sku.CACHED_INPUT, ""),
        others=" · ".join(others),
    )


def suggestion_words(found: Suggestion) -> str:
    """Return in a sentence what suggested prices rest on, or why there are none."""
    days = f"{day_words(day_of(found.start))} to {day_words(last_day(found.end))}"
    if found.why_not:
        return f"{found.why_not} ({days})"
    margin = f"{found.margin_percent.normalize():f}".replace("-", "−")
    return (
        f"From the real cost of {days}: {usd(found.cost_usd)} of machines for {found.tokens:,.0f} "
        f"tokens, idling and starting included, and a margin of {margin}%."
    )


def quantity_words(sku: Sku, quantity: Decimal) -> str:
    """Return "1,234 tokens", "1 image"."""
    one = UNITS[sku].one
    return counted(quantity.normalize(), one)
