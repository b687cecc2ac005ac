"""What a guard model or an analyzer says of a text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """A classifier's say: the label of the likeliest class, and how likely each class is, in the
    order of the model's classes, 0 to 1. label: "" where the model names none.
    """

    label: str
    probabilities: tuple[float, ...]

    @property
    def score(self) -> float:
        """Return how likely the label is."""
        return max(self.probabilities)


@dataclass(frozen=True)
class Entity:
    """Something an analyzer found: characters of the text, end exclusive; score 0 to 1."""

    kind: str
    start: int
    end: int
    score: float
