"""Reads over promotions, versions and runs: what serves, what the gates look at, what waits for whom."""

from apps.accounts.models import Role, User
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.evals.models import EvalRun, EvalSuite
from apps.promotions.gates import Evidence, RunFacts
from apps.promotions.models import Promotion, PromotionQuerySet, Rollout


def live_rollout(model: RegisteredModel) -> Rollout | None:
    """Return the rollout whose version serves all callers of the model now, with its version loaded."""
    rows = Rollout.objects.live().filter(registered_model=model)
    return rows.select_related("model_version__registered_model", "promotion").first()


def live_version(model: RegisteredModel) -> ModelVersion | None:
    """Return the version that serves all callers of the model now, or None."""
    rollout = live_rollout(model)
    return rollout.model_version if rollout else None


def current_suite() -> EvalSuite | None:
    """Return the suite that decides now: the newest revision."""
    return EvalSuite.objects.order_by("-created_at", "-revision").first()


def deciding_run(version: ModelVersion, suite: EvalSuite | None) -> EvalRun | None:
    """Return the version's newest run on the suite that came to a result. A run that could not be done is none."""
    decided = (EvalRun.Status.PASSED, EvalRun.Status.FAILED)
    rows = EvalRun.objects.filter(model_version=version, suite=suite, status__in=decided)
    return rows.order_by("-finished_at", "-requested_at").first()


def evidence_for(version: ModelVersion, promotion: Promotion | None = None) -> Evidence:
    """Return what the gates look at now, for a version to propose or a promotion to decide. About five queries."""
    model = version.registered_model
    suite = current_suite()
    run = deciding_run(version, suite) if suite else None
    live = live_version(model)
    others = Rollout.objects.filter(registered_model=model).select_related("model_version__registered_model")
    leaving = others.filter(status=Rollout.Status.ABORTED).exclude(commits__step=Rollout.Step.REMOVE)
    under_way = others.open().first() or leaving.first()
    failed = others.filter(status=Rollout.Status.FAILED).first()
    return Evidence(
        version=version.name,
        verified=version.status == ModelVersion.Status.VERIFIED,
        version_status=version.get_status_display(),
        manifest_digest=version.manifest_digest,
        run=RunFacts(str(run.pk), run.status == EvalRun.Status.PASSED, run.report_digest) if run else None,
        suite=str(suite) if suite else "",
        baseline=live.name if live else None,
        open_rollout=under_way.model_version.name if under_way else None,
        failed_rollout=failed.model_version.name if failed else None,
        bound_digest=promotion.manifest_digest if promotion else None,
        bound_run=str(promotion.eval_run_id) if promotion else None,
        bound_baseline=promotion.baseline.name if promotion and promotion.baseline else None,
        is_bound=promotion is not None,
    )


def waiting_for(user: User) -> PromotionQuerySet:
    """Return the promotions that this person can decide now, oldest first."""
    rows = Promotion.objects.pending().visible_to(user)
    if not user.has_role(Role.REVIEWER):
        return rows.none()
    return rows.exclude(requested_by=user).order_by("requested_at")
