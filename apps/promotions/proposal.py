"""The exact change that a promotion would make to the GitOps repository, for its reviewer. Writes
nothing.
"""

from typing import Any

from django.conf import settings

from apps.common.diffs import files as diff_files
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient, client_from_settings
from apps.manifests import names
from apps.manifests.text import CannotRender
from apps.promotions import actions, dossier
from apps.promotions.binding import writes
from apps.promotions.binding.steps import Steps
from apps.promotions.dossier import Change
from apps.promotions.models import Promotion, Rollout, shift_to
from apps.promotions.rollouts import render

Step = Rollout.Step
PAGE_TIMEOUT = 6.0
CHANGED = (
    "This page is out of date: what would be committed has changed since you opened it. Nothing "
    "was decided: look at it again, then decide."
)


def change_of(promotion: Promotion) -> Change:
    """Return each step with its files' diffs against the branch's head, or why Git cannot tell."""
    git = client_from_settings(timeout=PAGE_TIMEOUT)
    try:
        return Change([_step(git, *step) for step in _steps(promotion, git)], "")
    except (TemporaryError, PermanentError, CannotRender) as error:
        return Change([], str(error))


def change_shown(promotion: Promotion) -> Change:
    """Return the change that a reader is shown: as it was decided over, else as it is now."""
    kept = dossier.kept(promotion)
    return Change(kept["steps"], kept["problem"]) if kept else change_of(promotion)


def as_shown(promotion: Promotion, digest: str) -> Change:
    """Return the change that somebody decides over. digest: of what they were shown, "" where it
    was nothing.

    Raises StaleEvidence where it is another by now, or Git cannot tell whether it is.
    """
    if not digest:
        return actions.NOT_SHOWN
    change = change_of(promotion)
    if change.problem:
        raise actions.StaleEvidence(
            f"Git cannot tell now whether what you saw would still be committed: {change.problem} "
            "Nothing was decided: try again."
        )
    if digest != change.digest:
        raise actions.StaleEvidence(CHANGED)
    return change


def as_shown_or_is(promotion: Promotion, digest: str) -> Change:
    """Return the change that an emergency rolls forward with: what its engineer was shown, as
    as_shown has it; where they were shown nothing, what would be committed now, or why Git cannot
    tell.
    """
    return as_shown(promotion, digest) if digest else change_of(promotion)


def _steps(promotion: Promotion, git: GitClient) -> list[tuple[str, str, render.Changes]]:
    around, version, baseline = render.surroundings(), promotion.model_version, promotion.baseline
    model, written = promotion.registered_model.name, writes.steps_to_show(promotion, around)
    serve = written[Step.SERVE]
    if git.read(names.policy_path(model)) is None:
        serve = {**serve, **render.closed_policy(model, around)}
    beside = (
        f"beside {baseline.name}; callers notice nothing" if baseline else "nobody can call it yet"
    )
    steps = [(f"Start {version.name}", beside, serve), *_shifts(promotion, written)]
    if baseline:
        minutes = max(settings.ROLLOUT_RETIRE_AFTER_SECONDS // 60, 1)
        stop = (f"Stop {baseline.name}", f"{minutes} min after the move", written[Step.RETIRE])
        steps.append(stop)
    return steps


def _shifts(promotion: Promotion, written: Steps) -> list[tuple[str, str, render.Changes]]:
    """Return each weight with its change, which is shown against the branch as it is now, not after
    the one before.
    """
    rules = promotion.policy_revision.rules
    when, found = "when it is ready", []
    for percent in rules.steps if promotion.baseline else (100,):
        words = (
            "Move all callers to it" if percent == 100 else f"Move {percent} % of the callers to it"
        )
        found.append((words, when, written[shift_to(percent)]))
        when = f"{rules.hold_seconds} s later, if its gate passes"
    return found


def _step(git: GitClient, title: str, when: str, changes: render.Changes) -> dict[str, Any]:
    files = diff_files(git.diff(changes))
    count = sum(file.added + file.removed for file in files)
    plain = [file.plain() for file in files]
    return {"title": title, "when": when, "files": plain, "count": count}
