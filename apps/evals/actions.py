"""Every change of an evaluation run. People start runs; the worker records how they go."""

from datetime import datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import Role, User
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.models import ModelVersion
from apps.common.errors import DomainError, require
from apps.common.leases import change_from
from apps.common.tasks import enqueue_on_commit
from apps.evals import queries, report
from apps.evals.models import EvalPacketResult, EvalRun, EvalSuite
from apps.evals.scoring.decision import verdicts
from apps.evals.scoring.figures import metrics
from apps.evals.scoring.scores import PacketScore

Status = EvalRun.Status
WORKER = audit.System("evals.reconcile_eval_run")


class NotVerified(DomainError):
    """Only a verified version can be served, even for an evaluation."""

    code = "not_verified"


class AlreadyRunning(DomainError):
    """One run per version and suite at a time."""

    code = "already_running"


class NoSuite(DomainError):
    """No suite judges the model."""

    code = "no_suite"


def can_start(*, version: ModelVersion, actor: User) -> bool:
    """Tell whether this person may evaluate the version: an owner of the model, or any reviewer."""
    return version.registered_model.is_owned_by(actor) or actor.has_role(Role.REVIEWER)


def permit_start(*, version: ModelVersion, actor: User) -> None:
    """Raise NotPermitted unless this person may evaluate the version."""
    require(
        can_start(version=version, actor=actor),
        f"Model owners of {version.registered_model.owner_team.name} and reviewers start "
        f"evaluation runs.",
    )


def suite_to_run(*, version: ModelVersion, actor: User) -> EvalSuite:
    """Return the suite that judges a version's model, for somebody who may evaluate it. Raises
    NotPermitted or NoSuite.
    """
    permit_start(version=version, actor=actor)
    suite = queries.current_suite(version.registered_model)
    if suite is None:
        model = version.registered_model
        raise NoSuite(f"No suite judges {model}. A model owner has one judge it, under Suites.")
    return suite


@transaction.atomic
def start_eval_run(
    *, version: ModelVersion, suite: EvalSuite, actor: User, now: datetime
) -> EvalRun:
    """Ask the worker to evaluate a version. Raises NotPermitted, NotVerified or AlreadyRunning."""
    permit_start(version=version, actor=actor)
    if version.status != ModelVersion.Status.VERIFIED:
        raise NotVerified(
            f"{version} is {version.get_status_display().lower()}; only a verified "
            f"version can be evaluated."
        )
    try:
        with transaction.atomic():
            run = EvalRun.objects.create(
                suite=suite,
                model_version=version,
                requested_by=actor,
                requested_at=now,
                next_check_at=now,
            )
    except IntegrityError as error:
        raise AlreadyRunning(
            f"An evaluation run of {version} on this suite is already under way. Wait for it to "
            f"end."
        ) from error
    facts = {"suite": str(suite), "manifest_digest": version.manifest_digest}
    audit.record(action=Action.EVAL_STARTED, actor=actor, target=run, now=now, data=facts)
    enqueue_on_commit("evals.reconcile_eval_run", run_id=str(run.pk))
    return run


# -- What the worker records -----------------------------------------------------------------------


@transaction.atomic
def record_deployed(*, run: EvalRun, commit: str, now: datetime) -> None:
    """The candidate's InferenceService is committed."""
    changed = change_from(
        run, (Status.PENDING,), now=now,
        status=Status.STARTING, deploy_commit=commit, attempts=0, next_check_at=now,
        reason="COMMITTED",
        message="Committed; Argo CD applies it.",
    )  # fmt: skip
    if changed:
        audit.record(
            action=Action.EVAL_COMMITTED, actor=WORKER, target=run, now=now, data={"commit": commit}
        )


def record_waiting(*, run: EvalRun, reason: str, message: str, at: datetime, now: datetime) -> None:
    """Say what the run waits for, and look again at `at`. No audit event: nothing changed."""
    rows = EvalRun.objects.filter(pk=run.pk, generation=run.generation)
    rows.update(reason=reason, message=message, observed_at=now, next_check_at=at)


@transaction.atomic
def record_serving(*, run: EvalRun, engine: str, instance_type: str, now: datetime) -> None:
    """The candidate answered for the first time."""
    changed = change_from(
        run, (Status.STARTING,), now=now,
        status=Status.RUNNING, serving_at=now, engine=engine, instance_type=instance_type,
        attempts=0,
        next_check_at=now, reason="", message="",
    )  # fmt: skip
    if changed:
        facts = {"engine": engine, "instance_type": instance_type}
        audit.record(action=Action.EVAL_SERVING, actor=WORKER, target=run, now=now, data=facts)


@transaction.atomic
def record_packet(*, run: EvalRun, packet_id: str, score: PacketScore, now: datetime) -> None:
    """Keep one packet's codes and figures; a packet that was answered twice counts once."""
    facts = {
        "expected": list(score.expected), "predicted": list(score.predicted),
        "grounded": score.grounded,
        "ttft_ms": score.ttft_ms, "latency_ms": score.latency_ms,
        "output_tokens": score.output_tokens,
    }  # fmt: skip
    EvalPacketResult.objects.get_or_create(run=run, packet_id=packet_id, defaults=facts)
    done = run.packet_results.count()
    EvalRun.objects.filter(pk=run.pk).update(
        packets_done=done, observed_at=now, reason="", message=""
    )


def continue_soon(*, run: EvalRun, now: datetime) -> None:
    """The pass used its time: go on at once, in another task."""
    EvalRun.objects.filter(pk=run.pk, generation=run.generation).update(
        next_check_at=now, attempts=0
    )
    enqueue_on_commit("evals.reconcile_eval_run", run_id=str(run.pk))


@transaction.atomic
def record_eval_run(*, run: EvalRun, now: datetime) -> None:
    """All packets are answered: score them, keep report digest and verdict, and have the candidate
    removed.
    """
    run.metrics = metrics([report.score(result) for result in run.packet_results.all()])
    passed = all(verdict.met for verdict in verdicts(run.metrics, run.suite.thresholds))
    run.baseline_run = queries.deciding_run_of_live(run)
    digest = report.digest(run)
    changed = change_from(
        run, (Status.RUNNING,), now=now, baseline_run=run.baseline_run,
        status=Status.PASSED if passed else Status.FAILED, metrics=run.metrics,
        report_digest=digest,
        finished_at=now, attempts=0, next_check_at=now, reason="", message="",
    )  # fmt: skip
    if changed:
        facts = {
            "passed": passed,
            "f1": run.metrics["f1"],
            "report_digest": digest,
            "engine": run.engine,
        }
        audit.record(action=Action.EVAL_RECORDED, actor=WORKER, target=run, now=now, data=facts)
        # approvals over the version's run before it count no more
        enqueue_on_commit("promotions.start_approved_promotions")


@transaction.atomic
def fail_eval_run(*, run: EvalRun, reason: str, message: str, now: datetime) -> None:
    """The run cannot be carried out; its candidate is removed. Starting another run is the way to
    try again.
    """
    changed = change_from(
        run, EvalRun.OPEN, now=now,
        status=Status.ERROR, finished_at=now, attempts=0, next_check_at=now, reason=reason,
        message=message,
    )  # fmt: skip
    if changed:
        facts = {"reason": reason, "message": message}
        audit.record(action=Action.EVAL_FAILED, actor=WORKER, target=run, now=now, data=facts)


def record_remove_commit(*, run: EvalRun, commit: str, at: datetime, now: datetime) -> None:
    """The candidate's removal is committed."""
    rows = EvalRun.objects.filter(pk=run.pk, remove_commit="").exclude(status__in=EvalRun.OPEN)
    rows.update(remove_commit=commit, observed_at=now, next_check_at=at, attempts=0)


@transaction.atomic
def record_removed(*, run: EvalRun, now: datetime) -> None:
    """The candidate is gone from the cluster: the run is done."""
    rows = EvalRun.objects.filter(pk=run.pk, removed_at=None).exclude(status__in=EvalRun.OPEN)
    if rows.update(removed_at=now, observed_at=now, next_check_at=None):
        audit.record(action=Action.EVAL_REMOVED, actor=WORKER, target=run, now=now)
