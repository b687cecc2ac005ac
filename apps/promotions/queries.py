"""Reads over promotions and rollouts: what serves, and what the gates look at."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from apps.capacity.queries import buys_only_spot, fit_of
from apps.catalog.facts.queries import documents_of
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.retirement.models import is_retired
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.pages import packets_words, verdict_words
from apps.evals.queries import deciding_runs
from apps.evals.suites.queries import suites_judging
from apps.manifests.serving_settings import USUAL, ServingSettings, changes_of_answers, in_short
from apps.manifests.text import CannotRender
from apps.promotions.binding.differences import COMMITS, Difference, differences
from apps.promotions.binding.present import Chosen, Evaluated, present
from apps.promotions.emergencies.models import Emergency
from apps.promotions.gates import Condition, Evidence, RunFacts, blocked, evaluate_gates
from apps.promotions.models import (
    Approval,
    Promotion,
    Rollout,
    RolloutCommit,
    ServingClass,
)
from apps.promotions.policy.queries import Ruling, rules_for
from apps.promotions.rollouts.render import surroundings


def live_rollout(model: RegisteredModel) -> Rollout | None:
    """Return the rollout whose version serves all callers of the model now, with its version
    loaded.
    """
    rows = Rollout.objects.live().filter(registered_model=model)
    return rows.select_related("model_version__registered_model", "promotion").first()


def live_version(model: RegisteredModel) -> ModelVersion | None:
    """Return the version that serves all callers of the model now, or None."""
    rollout = live_rollout(model)
    return rollout.model_version if rollout else None


def leaving_version(model: RegisteredModel) -> ModelVersion | None:
    """Return a version of the model that is still to be taken out of the cluster, or None."""
    rows = Rollout.objects.filter(registered_model=model, status__in=Rollout.LEAVING)
    left = (
        rows.exclude(commits__step=Rollout.Step.REMOVE)
        .select_related("model_version__registered_model")
        .first()
    )
    return left.model_version if left else None


def was_taken_back(rollout: Rollout) -> bool:
    """Tell whether the last that Git heard of the version, from earlier rollouts of it, was its
    removal.
    """
    steps = RolloutCommit.objects.filter(step__in=(Rollout.Step.SERVE, Rollout.Step.REMOVE))
    last = (
        steps.filter(rollout__model_version=rollout.model_version_id)
        .exclude(rollout=rollout)
        .last()
    )
    return last is not None and last.step == Rollout.Step.REMOVE


def approval_before(rollout: Rollout) -> Promotion | None:
    """Return the approved promotion by which a rollout's baseline served, the newest one; None
    where there is none. One of an emergency counts once its review found it justified.

    The version must still be verified and carry the digest that was approved.
    """
    approved = Q(
        promotion__status=Promotion.Status.APPROVED,
        promotion__approvals__in=Approval.objects.counting(),
    )
    served = Rollout.objects.filter(
        approved | Q(promotion__emergency__status=Emergency.Status.UPHELD),
        registered_model=rollout.registered_model_id,
        model_version=rollout.baseline_id,
        status__in=(Rollout.Status.LIVE, Rollout.Status.REPLACED),
        model_version__status=ModelVersion.Status.VERIFIED,
        promotion__manifest_digest=F("model_version__manifest_digest"),
    )
    found = (
        served.select_related("promotion__model_version__registered_model")
        .order_by("-started_at")
        .first()
    )
    return found.promotion if found else None


def counting_commits(rollout: Rollout) -> dict[str, RolloutCommit]:
    """Return the commits that count now, by step: this attempt's, and the one that started the
    version.

    Those that the branch has lost count no more. Their gates are loaded with them.
    """
    rows = rollout.commits.filter(lost_at=None).select_related("gate")
    return {
        row.step: row
        for row in rows
        if row.attempt == rollout.attempt or row.step == Rollout.Step.SERVE
    }


def is_stopped(rollout: Rollout) -> bool:
    """Tell whether a rollout's baseline was stopped after it."""
    return rollout.commits.filter(step=Rollout.Step.RETIRE).exists()


def evidence_for(
    version: ModelVersion,
    at: datetime,
    promotion: Promotion | None = None,
    serving_class: str = "",
    settings: ServingSettings = USUAL,
) -> Evidence:
    """Return what the gates look at, for a version to propose or a promotion to decide. About
    ten queries. at: which policy is in force.

    serving_class, settings: of a proposal that is not made yet; "" where no class was chosen.
    """
    if promotion is not None:
        serving_class, settings = promotion.serving_class, promotion.settings
    model = version.registered_model
    ruling = rules_for(model, at)
    own = promotion.policy_revision if promotion else None
    rules = own.rules if own else ruling.rules
    suites = suites_judging(model)
    runs = deciding_runs(version, suites)
    suite, run = Evaluated(suites, runs).first
    live = live_version(model)
    others = Rollout.objects.filter(registered_model=model).select_related(
        "model_version__registered_model"
    )
    under_way = others.open().first()
    failed = others.filter(status=Rollout.Status.FAILED).first()
    documents = documents_of(version)
    return Evidence(
        version=version.name,
        verified=version.status == ModelVersion.Status.VERIFIED,
        version_status=version.get_status_display(),
        manifest_digest=version.manifest_digest,
        signature_digest=version.signature_digest,
        run=_run_facts(run),
        suite=str(suite) if suite else "",
        baseline=live.name if live else None,
        baseline_quarantined=bool(live and live.status == ModelVersion.Status.QUARANTINED),
        more=[(str(each), _run_facts(runs.get(each.pk))) for each in suites[1:]],
        serving_class=serving_class,
        **_of_settings(serving_class, settings, runs.values()),
        open_rollout=under_way.model_version.name if under_way else None,
        failed_rollout=failed.model_version.name if failed else None,
        real_engine_required=rules.real_engine_required,
        policy=ruling.number,
        differences=_differences(promotion, ruling, suites, runs, live) if promotion else (),
        bound_policy=_policy_that_must_stay(promotion, ruling),
        is_bound=promotion is not None,
        retired=is_retired(model.pk),
        model_card=documents.model_card,
        license=documents.license,
    )


def _of_settings(
    serving_class: str, settings: ServingSettings, runs: Iterable[EvalRun]
) -> dict[str, Any]:
    """Return what the gates look at of a version's settings; nothing where no class was chosen. Up
    to six queries. runs: its deciding ones.
    """
    if not serving_class:
        return {}
    evaluated = [ServingSettings.of_json(run.serving_settings) for run in runs]
    is_warm = serving_class == ServingClass.WARM
    problems = settings.problems(sleeps=not is_warm)
    return {
        "only_spot": is_warm and buys_only_spot(),
        "served_with": in_short(settings),
        "settings_problems": problems,
        # nothing can be said of no quantity, or of a replica without a GPU
        "fit": None if problems else fit_of(settings, needs_on_demand=is_warm),
        "evaluated_otherwise": list(
            dict.fromkeys(
                change for each in evaluated for change in changes_of_answers(each, settings)
            )
        ),
    }


def _run_facts(run: EvalRun | None) -> RunFacts | None:
    if run is None:
        return None
    passed = run.status == EvalRun.Status.PASSED
    baseline = run.baseline.name if run.baseline else None
    verdict = "" if passed else verdict_words(run)
    return RunFacts(
        str(run.pk), passed, run.report_digest, run.engine, baseline, verdict, _partly(run)
    )


def _partly(run: EvalRun) -> str:
    """Return which packets of its suite a run asked, where these are too few to decide: on a CPU
    alone, a subset is enough.
    """
    is_subset = run.subset != "" and run.packets_total < run.suite.packet_count
    return packets_words(run) if is_subset and not settings.ENGINES_ON_CPU else ""


def chosen_of(promotion: Promotion, ruling: Ruling | None = None) -> Chosen:
    """Return what a promotion chose, under its own policy. ruling: the one in force, which it must
    be under while it waits for reviewers.
    """
    own = promotion.policy_revision
    waits = promotion.status == Promotion.Status.PENDING
    policy = ruling if waits and ruling is not None else own
    found = (policy.number, policy.digest)
    return Chosen(
        promotion.serving_class, promotion.pre_warm, found, own.rules.steps, promotion.settings
    )


def _differences(
    promotion: Promotion,
    ruling: Ruling,
    suites: Sequence[EvalSuite],
    runs: Mapping[int, EvalRun],
    live: ModelVersion | None,
) -> list[Difference] | None:
    """Return what is no longer as the promotion bound it; None where it bound nothing."""
    if not promotion.binding_digest:
        return None
    version, chosen = promotion.model_version, chosen_of(promotion, ruling)
    try:
        found = Evaluated(suites, runs)
        now = present(
            version, chosen, surroundings(), evaluated=found, baseline=live,
            baseline_with=served_with(live),
        )  # fmt: skip
    except CannotRender as error:
        return [Difference(COMMITS, "What its steps write", "as proposed", f"nothing: {error}")]
    return differences(promotion.binding, now.binding.as_json())


def _policy_that_must_stay(promotion: Promotion | None, ruling: Ruling) -> int | None:
    """Return the number of the policy that a promotion was proposed under, while another must not
    come into force: until it is approved.
    """
    if promotion is None or promotion.status != Promotion.Status.PENDING:
        return None
    own = promotion.policy_revision
    same = ruling.revision is None or ruling.revision.pk == own.pk
    return ruling.number if same else own.number


def live_settings(model: RegisteredModel) -> ServingSettings | None:
    """Return with what the model is served now; None where nothing serves it."""
    rollout = live_rollout(model)
    return rollout.promotion.settings if rollout else None


def served_with(version: ModelVersion | None) -> ServingSettings:
    """Return the settings that a version was rolled out with last; as usual for none, and for one
    that never was. One query.
    """
    rows = Rollout.objects.filter(model_version=version).select_related("promotion")
    newest = rows.order_by("-promotion__requested_at").first() if version else None
    return newest.promotion.settings if newest else USUAL


def obstacles(version: ModelVersion, at: datetime) -> list[Condition]:
    """Return what keeps a version from being proposed: the gates that do not hold, and a promotion
    of its model that waits. About nine queries.
    """
    found = blocked(evaluate_gates(evidence_for(version, at)))
    waiting = Promotion.objects.pending().filter(registered_model=version.registered_model)
    if other := waiting.select_related("model_version__registered_model").first():
        words = f"{other.model_version.name} waits for a reviewer: decide or withdraw it first."
        found.append(Condition("Promotion", False, words))
    return found
