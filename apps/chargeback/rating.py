"""What tokens cost. Pure; exact decimals, never rounded here: money is rounded once, where a
statement line is made.
"""

from dataclasses import dataclass
from decimal import Decimal

MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Prices:
    """USD per million tokens."""

    input: Decimal
    cached_input: Decimal
    output: Decimal


def list_cost_usd(
    *, input_tokens: int, cached_input_tokens: int, output_tokens: int, prices: Prices
) -> Decimal:
    """Return the price-list cost in USD, exact.

    input_tokens includes cached_input_tokens (OpenAI's usage object): cached ones are priced once,
    at their own rate. Raises ValueError when the parts cannot be: negative, or more cached than all
    input.
    """
    if min(cached_input_tokens, output_tokens) < 0 or input_tokens < cached_input_tokens:
        raise ValueError("token counts cannot be negative, nor cached input more than input")
    fresh = input_tokens - cached_input_tokens
    total = (
        fresh * prices.input
        + cached_input_tokens * prices.cached_input
        + output_tokens * prices.output
    )
    return total / MILLION
