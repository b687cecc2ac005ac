"""What is charged for: the SKUs, in which unit each is counted and priced, and how much of each a
line of usage holds. Pure.

The gateway meters calls by their tokens, and its access log names the path that was called, which
tells the kind of call. What an embedding call reads is a SKU of its own. A rerank is counted by the
request: Envoy AI Gateway tells neither how many documents it had nor, of vLLM's answers, any
tokens. A call whose kind is not told counts by its tokens, as input and output. Audio and images
have their place here, and no line of usage holds any yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from django.db.models import TextChoices


class Sku(TextChoices):
    """What is charged for."""

    INPUT = "INPUT", "Input"  # what was read anew
    CACHED_INPUT = "CACHED_INPUT", "Cached input"
    OUTPUT = "OUTPUT", "Output"
    EMBEDDING_INPUT = "EMBEDDING_INPUT", "Embedding input"
    RERANK_REQUEST = "RERANK_REQUEST", "Rerank requests"
    AUDIO_SECOND = "AUDIO_SECOND", "Audio"
    IMAGE = "IMAGE", "Images"


@dataclass(frozen=True)
class Unit:
    """How a SKU is counted and priced. one: what is counted, "token". per: how many of them one
    price is for; per_words: the same in words, "M tokens".
    """

    one: str
    per: int
    per_words: str


TOKENS = Unit("token", 1_000_000, "M tokens")
UNITS: Mapping[Sku, Unit] = {
    Sku.INPUT: TOKENS,
    Sku.CACHED_INPUT: TOKENS,
    Sku.OUTPUT: TOKENS,
    Sku.EMBEDDING_INPUT: TOKENS,
    Sku.RERANK_REQUEST: Unit("request", 1_000, "1,000 requests"),
    Sku.AUDIO_SECOND: Unit("second", 60, "minute"),
    Sku.IMAGE: Unit("image", 1, "image"),
}
TOKEN_SKUS = tuple(sku for sku, unit in UNITS.items() if unit is TOKENS)

# SKU → which counts of a line make its quantity, and how often each. The counts of cached tokens
# leave out calls whose cached share nobody told, so that these count wholly as input.
OF_A_LINE: Mapping[Sku, Mapping[str, int]] = {
    Sku.INPUT: {"input_tokens": 1, "cached_input_tokens": -1, "embedding_input_tokens": -1},
    Sku.CACHED_INPUT: {"cached_input_tokens": 1},
    Sku.OUTPUT: {"output_tokens": 1},
    Sku.EMBEDDING_INPUT: {"embedding_input_tokens": 1},
    Sku.RERANK_REQUEST: {"rerank_requests": 1},
}

# The same of what is estimated of calls that did not tell their usage. It is priced where finance
# said so, and always kept apart.
ESTIMATED_OF_A_LINE: Mapping[Sku, Mapping[str, int]] = {
    Sku.INPUT: {"estimated_input_tokens": 1, "estimated_cached_input_tokens": -1},
    Sku.CACHED_INPUT: {"estimated_cached_input_tokens": 1},
    Sku.OUTPUT: {"estimated_output_tokens": 1},
}


class Usage(Protocol):
    """What was used: an hour of a team and a version, or anything that is counted alike.

    input_tokens includes cached_input_tokens, as OpenAI's usage object does, and
    embedding_input_tokens.
    """

    @property
    def input_tokens(self) -> int:
        """Return all tokens that were read."""

    @property
    def cached_input_tokens(self) -> int:
        """Return those of them that came from the engine's cache, as far as it is known."""

    @property
    def embedding_input_tokens(self) -> int:
        """Return those of them that embedding calls read, none of which is cached."""

    @property
    def output_tokens(self) -> int:
        """Return the tokens that were written."""

    @property
    def rerank_requests(self) -> int:
        """Return the rerank calls that were answered."""


def quantities(usage: Usage) -> list[tuple[Sku, int]]:
    """Return how much of each SKU was used, in its unit; what was not used is left out.

    A call whose cached share is unknown counts wholly as input. Raises ValueError for counts that
    cannot be: negative, or more cached and embedding input than input.
    """
    found = [
        (sku, sum(times * getattr(usage, name) for name, times in parts.items()))
        for sku, parts in OF_A_LINE.items()
    ]
    if any(quantity < 0 for _, quantity in found):
        raise ValueError("counts cannot be negative, nor parts of the input more than the input")
    return [(sku, quantity) for sku, quantity in found if quantity]


def estimated_quantities(usage: object) -> list[tuple[Sku, int]]:
    """Return how much of each SKU is estimated of calls that did not tell; what is nothing is left
    out. usage: has the columns of an hour.
    """
    found = [
        (sku, sum(times * getattr(usage, name) for name, times in parts.items()))
        for sku, parts in ESTIMATED_OF_A_LINE.items()
    ]
    return [(sku, quantity) for sku, quantity in found if quantity]


def rows_sql(alias: str) -> str:
    """Return `quantities` of a row, and what is estimated of it, as rows of SQL: (sku, quantity,
    per, is_estimated), for use after VALUES.

    alias: of the row's table. What was not used is among them, with quantity 0.
    """
    return ", ".join(
        f"('{sku}', {_sum_sql(alias, parts)}, {UNITS[sku].per}, {is_estimated})"
        for is_estimated, line in (("false", OF_A_LINE), ("true", ESTIMATED_OF_A_LINE))
        for sku, parts in line.items()
    )


def _sum_sql(alias: str, parts: Mapping[str, int]) -> str:
    return " + ".join(f"{times} * {alias}.{name}" for name, times in parts.items())
