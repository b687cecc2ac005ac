"""What a rule is that finds an injected instruction. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule. name: as a hit says it. anywhere, in_document: the scores in what the caller wrote
    and in what a tool brought or is marked as a document. not_before: words that say, right behind
    it, that something else is meant. is_closed: no GAP in it.
    """

    name: str
    reason: str
    pattern: str
    anywhere: float
    in_document: float
    not_before: str = ""

    @property
    def is_closed(self) -> bool:
        """Tell whether every word of it is a known one."""
        return "[a-z0-9]" not in self.pattern
