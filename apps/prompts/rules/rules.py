"""What is kept of a data class's calls, and for how long. Pure.

The rules are data: a revision keeps them as JSON, and this is the one reading of it. Nothing keeps
member data without an end, and no rule samples: what is kept of a class is kept of every call.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

LEAST_DAYS, MOST_DAYS = 1, 3653  # ten years
MOST_MODELS = 200


class BadRules(ValueError):
    """No retention says this: in words for whoever wrote it."""


class Mode(StrEnum):
    """Whether prompts and answers are kept."""

    REQUIRED = "REQUIRED"
    BEST_EFFORT = "BEST_EFFORT"
    OFF = "OFF"


MODE_WORDS = {
    Mode.REQUIRED: "Kept before the call goes on; where that cannot be, nothing passes",
    Mode.BEST_EFFORT: "Kept where it can be, without delaying calls; what is lost is counted",
    Mode.OFF: "Not kept",
}


@dataclass(frozen=True)
class Rules:
    """How a data class is kept. models: name → mode, for models that differ. Raises BadRules for
    what no retention may say.
    """

    mode: str
    kept_days: int
    models: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for mode in (self.mode, *self.models.values()):
            if mode not in tuple(Mode):
                raise BadRules("A prompt is kept always, where it can be, or not at all.")
        is_whole = isinstance(self.kept_days, int) and not isinstance(self.kept_days, bool)
        if not is_whole or not LEAST_DAYS <= self.kept_days <= MOST_DAYS:
            raise BadRules(f"It is kept for {LEAST_DAYS} to {MOST_DAYS:,} whole days.")
        if len(self.models) > MOST_MODELS:
            raise BadRules(f"At most {MOST_MODELS} models differ from their data class.")

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Rules":
        """Return the rules that JSON says. Raises BadRules, also for what no retention has."""
        if unknown := sorted(set(body) - {"mode", "kept_days", "models"}):
            raise BadRules(f"A retention has no {', '.join(unknown)}.")
        models = body.get("models", {})
        if not isinstance(models, Mapping):
            raise BadRules("Models that differ are written as name and mode.")
        try:
            return cls(body["mode"], body["kept_days"], dict(models))
        except KeyError as error:
            raise BadRules(f"{error.args[0]} is missing.") from None

    def as_json(self) -> dict[str, Any]:
        """Return the rules as they are kept."""
        models = {name: str(mode) for name, mode in sorted(self.models.items())}
        return {"mode": str(self.mode), "kept_days": self.kept_days, "models": models}

    def mode_of(self, model: str) -> Mode:
        """Return whether a model's calls are kept."""
        return Mode(self.models.get(model, self.mode))

    def until(self, at: datetime) -> datetime:
        """Return when a record of `at` ends: at the end of a day in UTC, so that those of one day
        end together.
        """
        day = (at + timedelta(days=self.kept_days)).astimezone(UTC).date()
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
