"""What usage costs by the price list. Pure; exact decimals, never rounded here: money is rounded
once, where a statement line is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from apps.common.counts import counted
from apps.common.money import exact
from apps.metering.skus import UNITS, Sku, quantities

_FIELDS = tuple((sku, sku.lower()) for sku in Sku)  # of Prices


@dataclass(frozen=True)
class Prices:
    """A model's price list: USD for one billing unit of each SKU (metering/skus.py), tokens by the
    million. None: it has no price, which is not the same as 0.
    """

    input: Decimal | None = None
    cached_input: Decimal | None = None
    output: Decimal | None = None
    embedding_input: Decimal | None = None
    rerank_request: Decimal | None = None
    audio_second: Decimal | None = None
    image: Decimal | None = None

    @classmethod
    def of(cls, by_sku: Mapping[str, Decimal | str]) -> "Prices":
        """Return the prices of a mapping SKU → USD."""
        return cls(**{str(sku).lower(): Decimal(usd) for sku, usd in by_sku.items()})

    @property
    def by_sku(self) -> dict[Sku, Decimal]:
        """Return SKU → USD, of those that have a price, in the SKUs' own order."""
        known = vars(self)
        return {sku: known[name] for sku, name in _FIELDS if known[name] is not None}

    @property
    def as_text(self) -> dict[str, str]:
        """Return SKU → USD as decimal text, for JSON."""
        return {str(sku): exact(usd) for sku, usd in self.by_sku.items()}


@dataclass(frozen=True)
class Tokens:
    """The tokens of a call, or of a sum of calls: chats. input_tokens includes
    cached_input_tokens.
    """

    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    embedding_input_tokens: int = 0
    rerank_requests: int = 0


def cost_usd(sku: Sku, quantity: int | Decimal, price_usd: Decimal) -> Decimal:
    """Return what a quantity costs at a price for one billing unit, exact where the unit divides
    evenly (all but minutes do).
    """
    return quantity * price_usd / UNITS[sku].per


def list_cost_usd(
    *,
    input_tokens: int,
    cached_input_tokens: int,
    output_tokens: int,
    prices: Prices,
    embedding_input_tokens: int = 0,
) -> Decimal | None:
    """Return the price-list cost of tokens in USD, exact; None where some of them have no price.

    input_tokens includes cached_input_tokens (OpenAI's usage object) and embedding_input_tokens:
    each is priced once, at its own rate. Raises ValueError when the parts cannot be: negative, or
    more cached and embedding input than all input.
    """
    used = quantities(
        Tokens(input_tokens, cached_input_tokens, output_tokens, embedding_input_tokens)
    )
    by_sku = prices.by_sku
    if any(sku not in by_sku for sku, _ in used):
        return None
    return sum((cost_usd(sku, quantity, by_sku[sku]) for sku, quantity in used), Decimal(0))


def unpriced_words(tokens: int, requests: int) -> str:
    """Return "1,100 tokens and 1 rerank request have no price"; "" where everything has one."""
    parts = [
        counted(count, noun)
        for count, noun in ((tokens, "token"), (requests, "rerank request"))
        if count
    ]
    if not parts:
        return ""
    return f"{' and '.join(parts)} {'has' if tokens + requests == 1 else 'have'} no price"
