"""What is wrong with a rollout or a version now, and what became of it. Pure: loaded rows in, words
out.
"""

import re
from dataclasses import dataclass

from apps.catalog.models import ModelVersion
from apps.incidents.models import Episode
from apps.promotions.gates import short
from apps.promotions.models import Rollout

Kind = Episode.Kind
# why an episode that hangs on no rollout is over
OVER: dict[str, str] = {
    Kind.GUARD: "The guard has blocked no more of its calls.",
    Kind.BURN: "Its error budget burns no faster than it may any more.",
    Kind.SATURATED: "There is room for its callers again.",
}
DRIFTED = "What serves is not what was approved."
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
Status = Rollout.Status
# nothing comes back to a rollout that has ended so
ENDED = (Status.ABORTED, Status.SUPERSEDED, Status.REPLACED)


@dataclass(frozen=True)
class Sign:
    """One thing that is wrong. words: what, for people."""

    kind: str
    words: str


def sign_of(version: ModelVersion) -> Sign:
    """Return what is wrong with a version that was taken out of use after it had been signed."""
    return Sign(Kind.QUARANTINED, f"It was taken out of use. {version.message}")


def signs_of(rollout: Rollout) -> list[Sign]:
    """Return what is wrong with a rollout now; at most one of each kind."""
    found = []
    if rollout.status == Status.LIVE and rollout.drifted_at is not None:
        found.append(Sign(Kind.DRIFT, _drift(rollout)))
    if rollout.status == Status.FAILED:
        words = rollout.message or rollout.return_message or "The rollout failed."
        found.append(Sign(Kind.ROLLOUT_FAILED, words))
    elif rollout.status in Rollout.OPEN and rollout.return_reason:
        words = f"Callers go back to the baseline. {rollout.return_message}".strip()
        found.append(Sign(Kind.ROLLOUT_FAILED, words))
    return found


def _drift(rollout: Rollout) -> str:
    lines = [
        f"{item['what']}: approved {_brief(item['approved'])}, found {_brief(item['found'])}"
        for item in rollout.differences
    ]
    return f"{DRIFTED} {'; '.join(lines)}."


def _brief(value: object) -> str:
    """Return a value with its digests shortened, as people quote them."""
    return _DIGEST.sub(lambda found: short(found[0]), str(value))


def over(kind: str, rollout: Rollout | None) -> str:
    """Return why an episode is over, in words. rollout: None for one of a version or a model."""
    if kind in OVER:
        return OVER[kind]
    if rollout is None:
        return "Nothing of the version serves callers or is on its way to them any more."
    if rollout.status == Status.ABORTED:
        return "The rollout was aborted and its version taken back."
    if rollout.status in ENDED:
        return "Another version has taken its place."
    if kind == Kind.DRIFT:
        return "What serves is what was approved again."
    if rollout.status == Status.LIVE:
        return "The rollout was tried again, and the version serves all callers."
    return "The rollout was tried again, and goes on."
