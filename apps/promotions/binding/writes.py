"""What the worker commits for a step: the bytes that were approved, and no others.

On the way forward each file is made once more from what is true now; where a byte differs from what
was approved, nothing is committed and the rollout stops. On the way back (RETURN, RETIRE, REMOVE, a
rollback) what was approved is committed as it was kept, whatever the settings have become since:
going back must work. A rollback leaves the accounts that all versions of the model share as they
are now.
"""

from collections.abc import Mapping

from apps.catalog.models import ModelVersion
from apps.integrations.errors import PermanentError
from apps.manifests import names
from apps.promotions import queries
from apps.promotions.binding.bound import files_of
from apps.promotions.binding.differences import Difference, differences, in_words
from apps.promotions.binding.models import KeptBytes
from apps.promotions.binding.present import settings_of
from apps.promotions.binding.steps import Steps, digests_of, steps_of
from apps.promotions.models import Promotion, Rollout
from apps.promotions.rollouts import render
from apps.promotions.rollouts.render import Changes

Step = Rollout.Step


class NotAsApproved(PermanentError):
    """A step would write something else than what was approved. The text says what differs."""


def forward(rollout: Rollout, step: str, around: render.Surroundings) -> Changes:
    """Return what a step on the way forward writes. Raises NotAsApproved, and CannotRender where it
    would not work.
    """
    promotion = rollout.promotion
    if rollout.rolls_back_id is not None:
        return _again(promotion, step, around)
    approved = files_of(promotion.binding, step)
    if approved is None:
        raise NotAsApproved(
            "Nobody approved the bytes that this step writes. Take the rollout back and propose "
            "the version again."
        )
    rendered = _rendered(promotion, rollout.baseline, around).get(str(step), {})
    found = digests_of({step: rendered})[step]
    if found != approved:
        raise NotAsApproved(_why(promotion, step, approved, found, around))
    return rendered


def back(rollout: Rollout, around: render.Surroundings) -> Changes:
    """Return the route that gives all callers back to the rollout's baseline, as it was approved:
    with the rollout, or where this one is a rollback, with the version that it goes back from.
    """
    replaced = rollout.rolls_back
    if replaced is not None:
        return route_of(replaced.promotion, around)
    approved = _kept(rollout.promotion, Step.RETURN)
    if approved is not None:
        return approved
    if rollout.baseline is None:
        raise ValueError("There is nothing to give callers back to.")
    return render.shift(rollout.baseline, around, with_=queries.served_with(rollout.baseline))


def removal(rollout: Rollout, live: Rollout | None, around: render.Surroundings) -> Changes:
    """Return the removal of a version that was aborted or superseded, with the route that was
    approved for what is live; none where nothing is.
    """
    version = rollout.model_version
    if live is None:
        return render.remove(version, None, around)
    return {**render.retire(version), **route_of(live.promotion, around)}


def route_of(promotion: Promotion, around: render.Surroundings) -> Changes:
    """Return the route that sends all callers to a promotion's version, as it was approved; made
    anew for one from before bytes were kept.
    """
    approved = _kept(promotion, Step.SHIFT)
    if approved is not None:
        return approved
    return render.shift(promotion.model_version, around, with_=promotion.settings)


def account_of(rollout: Rollout, step: str, around: render.Surroundings) -> Mapping[str, bytes]:
    """Return what a rollback's first step adds only where the branch has none: the accounts that
    all versions of the model share.
    """
    if rollout.rolls_back_id is None or step != Step.SERVE:
        return {}
    return render.accounts(rollout.registered_model.name, around)


def _again(promotion: Promotion, step: str, around: render.Surroundings) -> Changes:
    """Return what a step of a rollback writes: the version's own files as they were approved when
    it served before.
    """
    approved = _kept(promotion, step)
    if approved is None:
        chosen = (promotion.serving_class, promotion.pre_warm, promotion.settings)
        version = promotion.model_version
        approved = (
            render.serve(version, around, *chosen)
            if step == Step.SERVE
            else render.shift(version, around, with_=promotion.settings)
        )
    shared = names.account_path(promotion.model_version.registered_model.name)
    return {path: data for path, data in approved.items() if path != shared}


def steps_to_show(promotion: Promotion, around: render.Surroundings) -> Steps:
    """Return every step of a promotion for people to read: the bytes that an approval is over; of
    one from before bytes were kept, those that would be made now.
    """
    kept = {step: _kept(promotion, step) for step in promotion.binding.get("steps", {})}
    bound = {step: changes for step, changes in kept.items() if changes is not None}
    return bound or _rendered(promotion, promotion.baseline, around)


def _rendered(
    promotion: Promotion, baseline: ModelVersion | None, around: render.Surroundings
) -> dict[str, Changes]:
    """Return every step as it would be written now."""
    return steps_of(
        promotion.model_version,
        baseline,
        around,
        percents=promotion.policy_revision.rules.steps,
        serving_class=promotion.serving_class,
        pre_warm=promotion.pre_warm,
        with_=promotion.settings,
        baseline_with=queries.served_with(baseline),
    )


def _kept(promotion: Promotion, step: str) -> Changes | None:
    """Return the bytes of a step as they were approved; None where none were. Raises NotAsApproved
    where some of them are gone.
    """
    approved = files_of(promotion.binding, step)
    if approved is None:
        return None
    contents = KeptBytes.objects.contents(digest for digest in approved.values() if digest)
    missing = [path for path, digest in approved.items() if digest and digest not in contents]
    if missing:
        raise NotAsApproved(f"The approved bytes of {', '.join(missing)} are not kept any more.")
    return {path: contents[digest] if digest else None for path, digest in approved.items()}


def _why(
    promotion: Promotion,
    step: str,
    approved: Mapping[str, str | None],
    found: Mapping[str, str | None],
    around: render.Surroundings,
) -> str:
    """Return which files would be written otherwise, and what changed since the approval."""
    files = differences({"steps": {step: approved}}, {"steps": {step: found}})
    words = " ".join(each.words for each in files)
    causes = in_words(_causes(promotion, around))
    return f"This is not what was approved, so nothing was committed. {words} {causes}".strip()


def _causes(promotion: Promotion, around: render.Surroundings) -> list[Difference]:
    """Return what the portal's settings say otherwise than when it was proposed."""
    chosen = queries.chosen_of(promotion)
    now = {
        "image": around.image,
        "settings": settings_of(promotion.model_version, chosen, around),
    }
    bound = {key: promotion.binding.get(key) for key in now}
    return differences(bound, now)
