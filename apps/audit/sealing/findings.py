"""What a reading of the record found that should not be."""

from dataclasses import dataclass, field

KEPT = 100  # findings that a verification keeps in words; it counts them all


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. kind: what was done to the record; sequence: the entry, where it is
    one.
    """

    kind: str
    sequence: int | None
    says: str


@dataclass
class Found:
    """What is wrong, counted; the first of it in words."""

    count: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: str, sequence: int | None, says: str) -> None:
        """Add a finding."""
        self.count += 1
        if len(self.findings) < KEPT:
            self.findings.append(Finding(kind, sequence, says))
