"""What a benchmark prints: lines for people, and on its last line one JSON object for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Result:
    """One figure. ratio: to a reference measured in the same run; None where there is none."""

    name: str
    value: float
    unit: str
    goal: float
    ratio: float | None = None
    better: Literal["lower", "higher"] = "lower"

    @property
    def meets_its_goal(self) -> bool:
        """Tell whether the goal is met."""
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


def show(bench: str, results: Sequence[Result], **more: object) -> None:
    """Print the table and, last, the JSON object. more: what else that one tells, by its key."""
    for result in results:
        word = "ok " if result.meets_its_goal else "MISSED"
        ratio = f", {result.ratio:g} x the reference" if result.ratio is not None else ""
        print(
            f"{word:6} {result.name}: {result.value:g} {result.unit} (goal {result.goal:g}{ratio})"
        )
    keys = ("name", "value", "unit", "ratio", "goal", "better")
    rows = [{key: asdict(result)[key] for key in keys} for result in results]
    print(json.dumps({"bench": bench, "results": rows, **more}))
