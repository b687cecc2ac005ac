"""The binding made of what is true now, and the bytes that its steps write. Pure: rows in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.catalog.models import ModelVersion
from apps.common.canonical import digest_of
from apps.evals.models import EvalRun, EvalSuite
from apps.manifests.names import MODELS
from apps.manifests.serving_settings import USUAL, ServingSettings
from apps.promotions.binding.bound import Binding
from apps.promotions.binding.steps import Steps, digests_of, steps_of
from apps.promotions.rollouts.render import Surroundings, served_version


@dataclass(frozen=True)
class Chosen:
    """What a proposal chose, and what its policy says. policy: the number and the digest of the
    rules; percents: the weights of its rollout.
    """

    serving_class: str
    pre_warm: str
    policy: tuple[int, str]
    percents: Sequence[int]
    settings: ServingSettings = USUAL


@dataclass(frozen=True)
class Evaluated:
    """How a version was evaluated. suites: those that judge its model; runs: suite → the run on it
    that decides.
    """

    suites: Sequence[EvalSuite]
    runs: Mapping[int, EvalRun]

    @property
    def first(self) -> tuple[EvalSuite | None, EvalRun | None]:
        """Return the first suite, by slug, and the run on it; None for what is not there."""
        suite = self.suites[0] if self.suites else None
        return suite, self.runs.get(suite.pk) if suite else None

    @property
    def more(self) -> Mapping[str, Mapping[str, str]]:
        """Return of each other suite the run, and the digests of its report and of the suite."""
        found = {}
        for suite in self.suites[1:]:
            run = self.runs.get(suite.pk)
            found[suite.slug] = {
                "run": str(run.pk) if run else "",
                "report": run.report_digest if run else "",
                "suite": suite.digest,
            }
        return found


@dataclass(frozen=True)
class Present:
    """A binding with the bytes that it names: step → path → content."""

    binding: Binding
    steps: Steps

    @property
    def contents(self) -> list[bytes]:
        """Return the content of every file that some step writes."""
        changes = (data for files in self.steps.values() for data in files.values())
        return [data for data in changes if data is not None]


def present(
    version: ModelVersion,
    chosen: Chosen,
    around: Surroundings,
    *,
    evaluated: Evaluated,
    baseline: ModelVersion | None,
    baseline_with: ServingSettings = USUAL,
) -> Present:
    """Return what an approval would be over now. The versions need their models loaded.

    evaluated: the suites that judge the model, with the version's deciding runs; baseline: the
    version that serves, with its settings. Raises CannotRender where a step would write what does
    not work.
    """
    steps = steps_of(
        version,
        baseline,
        around,
        percents=chosen.percents,
        serving_class=chosen.serving_class,
        pre_warm=chosen.pre_warm,
        with_=chosen.settings,
        baseline_with=baseline_with,
    )
    number, rules = chosen.policy
    suite, run = evaluated.first
    binding = Binding(
        model=version.registered_model.name,
        number=version.number,
        registry=f"s3://{around.bucket}/{version.prefix}",
        manifest=version.manifest_digest,
        signature=version.signature_digest,
        run=str(run.pk) if run else "",
        report=run.report_digest if run else "",
        suite=suite.digest if suite else "",
        thresholds=digest_of(suite.thresholds) if suite else "",
        more=evaluated.more,
        policy=f"{number} ({rules})",
        baseline=baseline.name if baseline else "",
        baseline_manifest=baseline.manifest_digest if baseline else "",
        image=around.image,
        settings=settings_of(version, chosen, around),
        steps=digests_of(steps),
    )
    return Present(binding, steps)


def settings_of(version: ModelVersion, chosen: Chosen, around: Surroundings) -> Mapping[str, Any]:
    """Return what shapes the files beside the version itself: how it is served, and the portal's
    settings. Those of policy.yaml alone are left out, and those of scaling where nothing scales it.
    """
    served = served_version(version, around, chosen.serving_class, chosen.settings)
    found: dict[str, Any] = {
        "namespace": MODELS,
        "serving_class": str(served.serving_class),
        "pre_warm": chosen.pre_warm,
        "max_model_len": served.max_model_len,
        "serving": served.settings.as_json(),
        "role_arn": around.role_arn,
        "s3_endpoint": around.s3_endpoint,
        "start_seconds": around.start_seconds,
        "gateway": f"{around.gateway_namespace}/{around.gateway_name}",
        "limit_cost": around.limit_cost,
    }
    if around.traces_endpoint:
        found["traces_endpoint"] = around.traces_endpoint
    if served.is_scaled:
        scaling = around.scaling
        found["scaling"] = {
            "demand_url": scaling.demand_url,
            "polling_seconds": scaling.polling_seconds,
            "cooldown_seconds": scaling.cooldown_seconds,
            "prometheus_url": scaling.prometheus_url,
        }
    return found
