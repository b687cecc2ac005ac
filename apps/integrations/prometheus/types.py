"""What a Prometheus text or query says, as small values."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Point:
    """One series now: its name, its labels, and its value, which is finite."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    value: float = 0.0
