"""What each step of a promotion writes, from the first commit to the way back. Pure.

The reviewer's page shows it, the proposal binds its digests, and the worker compares with it before
each commit. `policy.yaml` is apart: a new grant changes no promotion.
"""

from collections.abc import Iterable, Mapping

from apps.catalog.models import ModelVersion
from apps.common.canonical import digest_of_bytes
from apps.manifests.serving_settings import USUAL, ServingSettings
from apps.promotions.models import Rollout, shift_to
from apps.promotions.rollouts import render
from apps.promotions.rollouts.render import Changes

Step = Rollout.Step
Steps = Mapping[str, Changes]


def steps_of(
    version: ModelVersion,
    baseline: ModelVersion | None,
    around: render.Surroundings,
    *,
    percents: Iterable[int],
    serving_class: str,
    pre_warm: str = "",
    with_: ServingSettings = USUAL,
    baseline_with: ServingSettings = USUAL,
) -> dict[str, Changes]:
    """Return step → path → content, None where the step removes the file.

    percents: the candidate's weights, ascending to 100; without a baseline all callers move at
    once. with_: the candidate's settings; baseline_with: the baseline's. Raises CannotRender for
    what would not work.
    """
    weights = tuple(percents) if baseline else (100,)
    found = {str(Step.SERVE): render.serve(version, around, serving_class, pre_warm, with_)}
    both = {"with_": with_, "baseline_with": baseline_with}
    for each in weights:
        found[shift_to(each)] = render.shift(version, around, each, baseline, **both)
    if baseline:
        found[str(Step.RETURN)] = render.shift(baseline, around, with_=baseline_with)
        found[str(Step.RETIRE)] = render.retire(baseline)
    found[str(Step.REMOVE)] = render.remove(version, baseline, around, baseline_with)
    return found


def digests_of(steps: Steps) -> dict[str, dict[str, str | None]]:
    """Return step → path → "sha256:<hex>" of the content, None where the file is removed."""
    return {
        step: {
            path: None if data is None else digest_of_bytes(data)
            for path, data in sorted(changes.items())
        }
        for step, changes in steps.items()
    }
