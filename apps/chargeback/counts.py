"""What is counted of usage wherever money is told, spelled once: the columns of lines and figures,
the fields of what queries return, and the names that pages and files put over them.
"""

from dataclasses import dataclass, fields

from apps.chargeback.rating import unpriced_words


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Calls, tokens and requests. unpriced_*: of tokens and requests, those without a rate.
    estimated_*: what the engines' counters tell of unmetered calls; in no other count.
    """

    metered_calls: int
    unmetered_calls: int
    refused_calls: int
    refused_401_calls: int
    refused_403_calls: int
    refused_404_calls: int
    refused_429_calls: int
    failed_calls: int
    input_tokens: int
    cached_input_tokens: int
    embedding_input_tokens: int
    output_tokens: int
    rerank_requests: int
    unpriced_tokens: int
    unpriced_requests: int
    estimated_calls: int
    estimated_input_tokens: int
    estimated_output_tokens: int

    @property
    def is_use(self) -> bool:
        """Tell whether something was used that has, or should have, a price."""
        return bool(self.input_tokens or self.output_tokens or self.rerank_requests)

    @property
    def tokens(self) -> int:
        """Return the tokens, input and output."""
        return self.input_tokens + self.output_tokens

    @property
    def unknown_calls(self) -> int:
        """Return of how many calls not even the engines tell what they used."""
        return self.unmetered_calls - self.estimated_calls

    @property
    def unpriced_words(self) -> str:
        """Return in words what has no price; "" where everything has one."""
        return unpriced_words(self.unpriced_tokens, self.unpriced_requests)


COUNTED = tuple(field.name for field in fields(Counts))
UNPRICED = ("unpriced_tokens", "unpriced_requests")
