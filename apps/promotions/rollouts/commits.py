"""Making the one commit of a rollout's step, and what a refusal of it is called."""

from collections.abc import Mapping

from apps.gitops.history import Diverged
from apps.integrations.errors import PermanentError
from apps.integrations.git.client import GitClient
from apps.integrations.git.types import CommitRef
from apps.promotions.binding import writes
from apps.promotions.binding.writes import NotAsApproved
from apps.promotions.models import Rollout, weight_of
from apps.promotions.rollouts import render
from apps.promotions.rollouts.plan import NOT_AS_APPROVED

Step = Rollout.Step


class GitRefused(PermanentError):
    """The Git server does not take a commit."""


REFUSALS: dict[type[Exception], str] = {
    Diverged: "GIT_DIVERGED",
    GitRefused: "GIT_REFUSED",
    NotAsApproved: NOT_AS_APPROVED,
}


def write(
    rollout: Rollout,
    step: str,
    changes: render.Changes,
    git: GitClient,
    unless_present: Mapping[str, bytes] | None = None,
) -> CommitRef:
    """Make the one commit of a step, or find it again. Raises GitRefused where the server does not
    take it.
    """
    try:
        return git.commit(
            changes=changes,
            message=_message(rollout, step),
            trailers=trailers(rollout, step),
            unless_present=unless_present,
        )
    except PermanentError as error:
        raise GitRefused(str(error)) from error


def changes_of(rollout: Rollout, step: str, around: render.Surroundings) -> render.Changes:
    """Return what a step of an open rollout writes: what was approved. Raises NotAsApproved."""
    if step == Step.RETURN:
        return writes.back(rollout, around)
    return writes.forward(rollout, step, around)


def trailers(rollout: Rollout, step: str) -> dict[str, str]:
    """Return the trailers of a step's commit: the same for the same step of the same attempt, for
    good. With the promotion, and the digest of the dossier that it was approved over.
    """
    again = f".{rollout.attempt}" if rollout.attempt > 1 else ""
    found = {"Quartermaster-Rollout": str(rollout.pk), "Quartermaster-Step": f"{step}{again}"}
    if rollout.promotion.binding_digest:
        found["Quartermaster-Promotion"] = str(rollout.promotion_id)
    # what was decided once it had begun is in none of its commits: a step is found by its trailers
    if dossier := rollout.promotion.dossier_digest(until=rollout.started_at):
        found["Quartermaster-Dossier"] = dossier
    return found


def _message(rollout: Rollout, step: str) -> str:
    name, baseline, model = rollout.model_version.name, rollout.baseline, rollout.registered_model
    percent = weight_of(step)
    subject = {
        str(Step.SERVE): f"Start {name}",
        str(Step.SHIFT): f"Send all callers of {model} to {name}",
        str(Step.RETURN): f"Give all callers of {model} back to {baseline}",
        str(Step.RETIRE): f"Stop {baseline}, replaced by {name}",
        str(Step.REMOVE): f"Take {name} back",
    }.get(str(step), f"Send {percent} % of the callers of {model} to {name}")
    return (
        f"{subject}\n\nPromotion {rollout.promotion_id}, manifest "
        f"{rollout.promotion.manifest_digest}."
    )
