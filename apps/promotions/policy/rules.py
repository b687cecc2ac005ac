"""What a policy says: who approves a promotion, until when that counts, when a rollout may start,
and how it goes. Pure.

The rules are data: a revision keeps them as JSON, and this is the one reading of it. What nobody
may agree on is refused here: fewer than one approval, a requester who approves, a stand-in's run
outside the local stack.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from apps.accounts.models import Role
from apps.accounts.roles import DECIDES_PROMOTIONS
from apps.promotions.policy.freezes import BadFreeze, Freeze, covering

LOCAL = "local"  # the environment in which a stand-in's run may count


class BadRules(ValueError):
    """No policy says this: in words for whoever wrote it."""


class Excluded(StrEnum):
    """Persons who do not approve, with whichever of their accounts."""

    REQUESTER = "requester"
    PUBLISHER = "publisher"
    OWNERS = "model owners"


class ChangeRule(StrEnum):
    """Whether a change record in ServiceNow must be open before a rollout starts."""

    REQUIRED = "required"
    IF_CONFIGURED = "if configured"
    NONE = "none"


EXCLUDED_WORDS = {
    Excluded.REQUESTER: "whoever proposed it",
    Excluded.PUBLISHER: "whoever published the version",
    Excluded.OWNERS: "owners of the model",
}
CHANGE_WORDS = {
    ChangeRule.REQUIRED: "required; without ServiceNow nothing starts",
    ChangeRule.IF_CONFIGURED: "required where ServiceNow is configured",
    ChangeRule.NONE: "not needed",
}
# least and most of each figure, and its name for people
BOUNDS: dict[str, tuple[float, float, str]] = {
    "approvals": (1, 5, "The number of approvals"),
    "approval_max_age_days": (1, 90, "The age of an approval in days"),
    "hold_seconds": (1, 86_400, "The hold at each weight in seconds"),
    "minimum_calls": (1, 1_000_000, "The calls needed of each version"),
    "ttft_factor": (1, 10, "The factor on the time to first token"),
    "ttft_slack_ms": (0, 60_000, "The slack on the time to first token in ms"),
    "error_points": (0, 100, "The percentage points of errors"),
    "speed_factor": (0.1, 1, "The least share of the baseline's speed"),
    "emergency_review_hours": (1, 720, "The hours until the review of an emergency"),
}
WHOLE = ("approvals", "approval_max_age_days", "hold_seconds", "minimum_calls",
         "emergency_review_hours")  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """One policy. steps: the candidate's percents, ascending to 100. hold_seconds: how long each
    weight stands. minimum_calls, ttft_*, error_points, speed_factor: how much worse than the
    baseline a candidate may be (rollouts/health.py). Raises BadRules for what no policy may say.
    """

    approvals: int = 1
    approver_roles: tuple[str, ...] = (Role.REVIEWER.value,)
    excluded: tuple[str, ...] = tuple(one.value for one in Excluded)
    approval_max_age_days: int = 14
    change: str = ChangeRule.IF_CONFIGURED.value
    freezes: tuple[Freeze, ...] = field(default=())
    steps: tuple[int, ...] = (10, 50, 100)
    hold_seconds: int = 300
    minimum_calls: int = 50
    ttft_factor: float = 1.25
    ttft_slack_ms: float = 100.0
    error_points: float = 2.0
    speed_factor: float = 0.8
    real_engine_required: bool = True
    emergency_review_hours: int = 24

    def __post_init__(self) -> None:
        for name, (least, most, words) in BOUNDS.items():
            _check_figure(getattr(self, name), least, most, words, is_whole=name in WHOLE)
        if not self.approver_roles:
            raise BadRules("Say which roles approve.")
        _check_known(self.approver_roles, DECIDES_PROMOTIONS, "approves promotions")
        _check_known(self.excluded, list(Excluded), "can be excluded")
        if Excluded.REQUESTER not in self.excluded:
            raise BadRules("Whoever proposed it never approves it: that is in no policy's power.")
        if self.change not in list(ChangeRule):
            raise BadRules("A change record is required, required if configured, or not needed.")
        if not isinstance(self.real_engine_required, bool):
            raise BadRules("An evaluation by a real engine is needed, or it is not.")
        _check_steps(self.steps)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Rules":
        """Return the rules that JSON says; what it leaves out is as it was at first. Raises
        BadRules, also for what no policy has.
        """
        if unknown := sorted(set(body) - {one.name for one in fields(cls)}):
            raise BadRules(f"A policy has no {', '.join(unknown)}.")
        values = dict(body)
        try:
            for name in ("approver_roles", "excluded", "steps"):
                if name in values:
                    values[name] = tuple(values[name])
            values["freezes"] = tuple(Freeze.of(one) for one in values.get("freezes", ()))
            return cls(**values)
        except BadFreeze as error:
            raise BadRules(str(error)) from None
        except TypeError:
            raise BadRules("A list, a word or a number is not where it should be.") from None

    def as_json(self) -> dict[str, Any]:
        """Return the rules as they are kept: lists where there are several."""
        found = asdict(self)
        for name in ("approver_roles", "excluded", "steps"):
            found[name] = list(found[name])
        freezes = [{**one, "exceptions": list(one["exceptions"])} for one in found["freezes"]]
        return {**found, "freezes": freezes}

    def check(self, environment: str) -> None:
        """Raise BadRules for what this environment may not have."""
        if environment != LOCAL and not self.real_engine_required:
            raise BadRules(
                "A stand-in's evaluation never counts outside the local stack: the policy must "
                "need a real engine."
            )

    @property
    def approval_max_age(self) -> timedelta:
        """Return how old an approval may be when its rollout starts."""
        return timedelta(days=self.approval_max_age_days)

    @property
    def decider(self) -> str:
        """Return who approves, without an article: "reviewer or platform engineer"."""
        return " or ".join(str(Role(role).label).lower() for role in self.approver_roles)

    def frozen(self, model: str, moment: datetime) -> tuple[Freeze, datetime] | None:
        """Return the window in which none of the model's rollouts starts, with its end, or None."""
        return covering(self.freezes, model, moment)


def _check_figure(value: object, least: float, most: float, words: str, *, is_whole: bool) -> None:
    kinds: tuple[type, ...] = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise BadRules(f"{words} is a {'whole ' if is_whole else ''}number.")
    if not least <= value <= most:  # type: ignore[operator]  # a number, by the line above
        raise BadRules(f"{words} is between {least:,g} and {most:,g}.")


def _check_known(given: tuple[str, ...], known: Any, words: str) -> None:
    if unknown := [one for one in given if one not in tuple(known)]:
        raise BadRules(f"Nobody who is {unknown[0]!r} {words}.")
    if len(set(given)) != len(given):
        raise BadRules("Name each of them once.")


def _check_steps(steps: tuple[int, ...]) -> None:
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in steps)
    rises = whole and list(steps) == sorted(set(steps))
    if not steps or not rises or steps[0] < 1 or steps[-1] != 100:
        raise BadRules("The steps are whole percents that rise to 100.")
