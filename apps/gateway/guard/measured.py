"""What `make bench-guard` measured of the shipped set, kept beside the code that it measured.

The labeled texts are made up, and no template of those that were measured was used to write a rule
(measure/). digest: of the set that was measured; where other rules are in force, pages say so.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from apps.gateway.guard.rules import PROVIDER_WORDS, Provider

FREE_WORDING = "INJECTION_FREE_WORDING"
LABELS = {
    "INJECTION_USUAL_WORDING": "Injected instructions, usual wording",
    FREE_WORDING: "Injected instructions, free wording",
    "INJECTION_HIDDEN_WRITING": "Injected instructions, usual wording in a writing that hides them",
}
FILE = Path(__file__).with_name("measured.json")


@dataclass(frozen=True)
class Measured:
    """One detector's figures. recall, precision: 0 to 1, None where nothing of it was there to be
    found, or nothing was found. texts: labeled ones that hold it.
    """

    detector: str
    texts: int
    found: int
    false_alarms: int
    recall: float | None
    precision: float | None

    @property
    def label(self) -> str:
        """Return the kind for people."""
        return LABELS.get(self.detector, self.detector)

    @property
    def recall_words(self) -> str:
        """Return the recall for people."""
        return _percent(self.recall)

    @property
    def precision_words(self) -> str:
        """Return the precision for people."""
        return _percent(self.precision)


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{100 * share:.0f} %"


@dataclass(frozen=True)
class Measurement:
    """One measurement. harmless: texts without anything to find, of which `alarms` were hit by a
    rule that blocks.
    """

    digest: str
    measured_on: str
    seed: int
    harmless: int
    alarms: int
    rows: tuple[Measured, ...]
    costs: dict[str, float]  # provider → milliseconds per 4,000 characters
    reference_ms: float

    @property
    def free_wording(self) -> str:
        """Return the share of instructions in free wording that was found, for people."""
        free = (row for row in self.rows if row.detector == FREE_WORDING)
        return next((row.recall_words for row in free), _percent(None))

    @property
    def cost_words(self) -> str:
        """Return what each provider costs, for people: "secrets 0.12 ms, member data 0.92 ms"."""
        return ", ".join(
            f"{PROVIDER_WORDS[Provider(name)].lower()} {cost:.2f} ms"
            for name, cost in self.costs.items()
        )

    @property
    def reference_words(self) -> str:
        """Return the reference for people."""
        return f"{self.reference_ms:.1f} ms"


@cache
def measurement() -> Measurement:
    """Return what was measured last."""
    body = json.loads(FILE.read_text())
    rows = tuple(Measured(**row) for row in body.pop("rows"))
    return Measurement(rows=rows, **body)
