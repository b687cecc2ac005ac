"""Rows around promotions."""

from datetime import timedelta

from apps.common.canonical import canonical
from apps.evals.models import EvalReport, EvalRun, EvalSuite
from apps.manifests.serving_settings import ServingSettings
from apps.promotions.binding.models import KeptBytes
from apps.promotions.binding.present import Chosen, Evaluated, present
from apps.promotions.dossier import document
from apps.promotions.models import Approval, Promotion, Rollout
from apps.promotions.policy.actions import revision_for
from apps.promotions.queries import live_version
from apps.promotions.rollouts import render
from tests.factories import NOW, ModelVersionFactory, UserFactory

THRESHOLDS = {"f1": {"minimum": 0.2}, "ttft_p95_ms": {"maximum": 20000}}


def suite(revision=1):
    """Return the current suite."""
    return EvalSuite.objects.get_or_create(
        slug="prior-auth",
        revision=revision,
        defaults={
            "title": "Prior authorization packets",
            "digest": f"sha256:{revision:064x}",
            "packet_count": 24,
            "thresholds": THRESHOLDS,
            "judges": [EvalSuite.ANY],
            "status": EvalSuite.Status.SHIPPED,
            "decided_at": NOW,
            "requested_at": NOW + timedelta(minutes=revision),
        },
    )[0]


def run(version, *, passed=True, at=NOW, f1=0.9, metrics=None, **more):
    """Return a finished run of a version on the newest suite, against what serves its model now
    where `more` says no other baseline. metrics: beside F1 and TTFT; a baseline has F1 0.9.
    """
    live = more.pop("baseline", live_version(version.registered_model))
    baseline = live if live != version else None
    if baseline is not None:
        more.setdefault("baseline_metrics", {"f1": 0.9, "ttft_p95_ms": 420.0})
    found = EvalRun.objects.create(
        suite=EvalSuite.objects.order_by("-revision").first() or suite(),
        model_version=version,
        baseline=baseline,
        packets_total=24,
        packets_done=24,
        status="PASSED" if passed else "FAILED",
        requested_by=version.created_by,
        requested_at=at,
        finished_at=at,
        metrics={"f1": f1, "ttft_p95_ms": 420.0} | (metrics or {}),
        report_digest="sha256:" + "e" * 64,
        **more,
    )
    EvalReport.objects.create(run=found, content=b"{}")
    return found


def policy(model):
    """Return the revision of the policy that is in force for a model's promotions."""
    return revision_for(model.data_class, NOW)


def bound(version, run, *, baseline=None, serving_class="WARM", pre_warm="", serving_settings=None):
    """Return what a promotion of a version binds, as its columns, with the bytes kept."""
    revision = policy(version.registered_model)
    number = (revision.number, revision.digest)
    settings = ServingSettings.of_json(serving_settings or {})
    chosen = Chosen(serving_class, pre_warm, number, revision.rules.steps, settings)
    around = render.surroundings()
    evaluated = Evaluated([run.suite], {run.suite_id: run})
    found = present(version, chosen, around, evaluated=evaluated, baseline=baseline)
    KeptBytes.objects.keep(found.contents)
    return {"binding": found.binding.as_json(), "binding_digest": found.binding.digest}


def version(model, number, **more):
    """Return a verified version."""
    return ModelVersionFactory(registered_model=model, number=number, **more)


def proposed(model, number, requester, **facts):
    """Return the promotion of a new version that waits for reviewers."""
    made = version(model, number)
    waits = {"status": "PENDING", "justification": "Better."}
    return Promotion.objects.create(
        registered_model=model, model_version=made, eval_run=run(made),
        manifest_digest=made.manifest_digest, policy_revision=policy(model),
        requested_by=requester, requested_at=NOW, **(waits | facts),
    )  # fmt: skip


def live(model, number, **chosen):
    """Return the LIVE rollout of a new version, as if it had been promoted before. chosen: its
    class and hours.
    """
    return rolled(model, number, chosen)


def rolled(model, number, chosen=None, *, decided_at=NOW, **facts):
    """Return the rollout of a new version, approved and LIVE where the facts say nothing else. One
    that goes back is of a version that was carried out the day before.
    """
    made = version(model, number)
    evaluated = run(made)
    promotion = Promotion.objects.create(
        registered_model=model,
        model_version=made,
        eval_run=evaluated,
        manifest_digest=made.manifest_digest,
        policy_revision=policy(model),
        requested_by=UserFactory(),
        requested_at=NOW,
        justification="first",
        status="APPROVED",
        decided_at=decided_at,
        **(chosen or {}),
        **bound(made, evaluated, **(chosen or {})),
    )
    (dossier,) = KeptBytes.objects.keep([canonical(document(promotion, {}))])
    for _ in range(promotion.policy_revision.rules.approvals):
        Approval.objects.create(
            promotion=promotion, approver=UserFactory(), requested_by=promotion.requested_by,
            decision="APPROVE",
            reason="Good.", decided_at=decided_at, manifest_digest=made.manifest_digest,
            eval_run=promotion.eval_run, binding_digest=promotion.binding_digest,
            dossier_digest=dossier,
        )  # fmt: skip
    is_live = {"status": "LIVE", "weight": 100, "finished_at": NOW, "observed_at": NOW}
    began = {"started_at": NOW, "moved_at": NOW}
    of = {"promotion": promotion, "registered_model": model, "model_version": made}
    if "rolls_back" in facts:
        was = {"status": "REPLACED", "started_at": NOW - timedelta(days=1), "moved_at": NOW}
        Rollout.objects.create(**of, **was)
    return Rollout.objects.create(**of, **(is_live | began | facts))
