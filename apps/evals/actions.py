"""Every change of an evaluation run. People start runs; the worker records how they go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from apps.accounts.models import Role, User
from apps.audit import actions as audit
from apps.audit.models import Action
from apps.catalog.models import ModelVersion
from apps.catalog.retirement.models import standing_of
from apps.catalog.retirement.words import sentence
from apps.common.canonical import digest_of_bytes
from apps.common.errors import DomainError, require
from apps.common.leases import change_from
from apps.common.tasks import enqueue_on_commit
from apps.evals import report
from apps.evals.models import EvalPacketResult, EvalReport, EvalRun, EvalSuite, Side
from apps.evals.runs import judging
from apps.evals.suites.queries import packet_count, suites_judging
from apps.manifests.serving_settings import ServingSettings

Status = EvalRun.Status
WORKER = audit.System("evals.reconcile_eval_run")
TODAY = ServingSettings()
MOST_AT_ONCE = 32
LARGEST_COST = 10_000


class NotVerified(DomainError):
    """Only a verified version can be served, even for an evaluation."""

    code = "not_verified"


class AlreadyRunning(DomainError):
    """One run per version and suite at a time."""

    code = "already_running"


class BadRun(DomainError):
    """No run can do what was asked of it."""

    code = "bad_run"


class NotOpen(DomainError):
    """The run has ended."""

    code = "not_open"


class NoSuite(DomainError):
    """No suite judges the model, or not the one that was named."""

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


def suite_to_run(*, version: ModelVersion, actor: User, slug: str = "") -> EvalSuite:
    """Return a suite that judges a version's model, for somebody who may evaluate it. slug: which
    of them; "" where only one does. Raises NotPermitted or NoSuite.
    """
    permit_start(version=version, actor=actor)
    found, model = suites_judging(version.registered_model), version.registered_model
    if not found:
        raise NoSuite(f"No suite judges {model}. A model owner has one judge it, under Suites.")
    wanted = [suite for suite in found if suite.slug == slug] if slug else found
    if len(wanted) != 1:
        names = ", ".join(suite.slug for suite in found)
        raise NoSuite(f"Several suites judge {model}, or others: name one of {names}.")
    return wanted[0]


@dataclass(frozen=True)
class Wanted:
    """What a run is asked to do.

    baseline: the version that serves the model's callers now, None where none does; whoever asks
    knows it, for what serves is told by a higher app. subset: of the suite's packets, "" for all.
    settings, baseline_settings: with what each side is served. concurrency: packets that each side
    has at once. cost_limit_usd: where the run ends; None for no limit but those of time.
    """

    baseline: ModelVersion | None = None
    subset: str = ""
    settings: ServingSettings = TODAY
    baseline_settings: ServingSettings = TODAY
    concurrency: int = 4
    cost_limit_usd: Decimal | None = None

    def problems(self) -> list[str]:
        """Return why no run can do that, a sentence each."""
        found = [*self.settings.problems()]
        if not 1 <= self.concurrency <= MOST_AT_ONCE:
            found.append(f"Each side is asked 1 to {MOST_AT_ONCE} packets at once.")
        if self.cost_limit_usd is not None and not 0 < self.cost_limit_usd <= LARGEST_COST:
            found.append(f"The most it may cost is more than $0 and at most ${LARGEST_COST:,}.")
        return found


WHOLE = Wanted()


@transaction.atomic
def start_eval_run(
    *,
    version: ModelVersion,
    suite: EvalSuite,
    actor: User,
    now: datetime,
    wanted: Wanted = WHOLE,
) -> EvalRun:
    """Ask the worker to evaluate a version, side by side with its baseline. A version that serves
    already has no baseline but itself, so it gets none.

    Raises NotPermitted, NotVerified, AlreadyRunning or BadRun.
    """
    permit_start(version=version, actor=actor)
    if version.status != ModelVersion.Status.VERIFIED:
        raise NotVerified(
            f"{version} is {version.get_status_display().lower()}; only a verified "
            f"version can be evaluated."
        )
    retirement = standing_of(version.registered_model_id)
    if retirement is not None and retirement.is_retired:
        raise BadRun(f"{sentence(retirement, now)} No version of it is evaluated any more.")
    if problems := wanted.problems():
        raise BadRun(" ".join(problems))
    packets = packet_count(suite, wanted.subset)
    if not packets:
        raise BadRun(f"{suite} has no packets in the subset “{wanted.subset}”: ask all of them.")
    baseline = None if wanted.baseline == version else wanted.baseline
    try:
        with transaction.atomic():
            run = EvalRun.objects.create(
                suite=suite,
                model_version=version,
                baseline=baseline,
                subset=wanted.subset,
                packets_total=packets,
                serving_settings=wanted.settings.as_json(),
                baseline_settings=wanted.baseline_settings.as_json() if baseline else {},
                concurrency=wanted.concurrency,
                cost_limit_usd=wanted.cost_limit_usd,
                requested_by=actor,
                requested_at=now,
                next_check_at=now,
            )
    except IntegrityError as error:
        raise AlreadyRunning(
            f"An evaluation run of {version} on this suite is already under way. Wait for it to "
            f"end."
        ) from error
    audit.record(action=Action.EVAL_STARTED, actor=actor, target=run, now=now, data=_asked(run))
    enqueue_on_commit("evals.reconcile_eval_run", run_id=str(run.pk))
    return run


def _asked(run: EvalRun) -> dict[str, object]:
    """Return what a run was asked to do, as the record keeps it."""
    return {
        "suite": str(run.suite),
        "manifest_digest": run.model_version.manifest_digest,
        "baseline": run.baseline.name if run.baseline else "",
        "packets": run.packets_total,
        "subset": run.subset,
        "concurrency": run.concurrency,
        "cost_limit_usd": "" if run.cost_limit_usd is None else str(run.cost_limit_usd),
    }


@transaction.atomic
def cancel_eval_run(*, run: EvalRun, actor: User, now: datetime) -> None:
    """End an open run without a result; the worker takes away what it served. Raises NotPermitted
    unless the person may start such a run, NotOpen where it has ended.
    """
    require(
        can_start(version=run.model_version, actor=actor),
        f"Model owners of {run.model_version.registered_model.owner_team.name} and reviewers "
        f"cancel evaluation runs.",
    )
    changed = change_from(
        run, EvalRun.OPEN, now=now,
        status=Status.CANCELED, canceled_by=actor, finished_at=now, attempts=0, next_check_at=now,
        generation=run.generation + 1, reason="CANCELED", message="",
    )  # fmt: skip
    if not changed:
        raise NotOpen("The run has ended already.")
    facts = {"packets_done": run.packets_done, "packets": run.packets_total}
    audit.record(action=Action.EVAL_CANCELED, actor=actor, target=run, now=now, data=facts)
    enqueue_on_commit("evals.reconcile_eval_run", run_id=str(run.pk))


# -- What the worker records -----------------------------------------------------------------------


@transaction.atomic
def record_deployed(*, run: EvalRun, commit: str, now: datetime) -> None:
    """The candidate's InferenceService is committed. Where the run ended while that was under way,
    it is taken away again, also if nothing was found to take away before.
    """
    changed = change_from(
        run, (Status.PENDING,), now=now,
        status=Status.STARTING, deploy_commit=commit, attempts=0, next_check_at=now,
        reason="COMMITTED",
        message="Committed; Argo CD applies it.",
    )  # fmt: skip
    ended = EvalRun.objects.filter(pk=run.pk, deploy_commit="").exclude(status__in=EvalRun.OPEN)
    if changed or ended.update(deploy_commit=commit, removed_at=None, next_check_at=now):
        audit.record(
            action=Action.EVAL_COMMITTED, actor=WORKER, target=run, now=now, data={"commit": commit}
        )


def record_waiting(*, run: EvalRun, reason: str, message: str, at: datetime, now: datetime) -> None:
    """Say what the run waits for, and look again at `at`. No audit event: nothing changed."""
    rows = EvalRun.objects.filter(pk=run.pk, generation=run.generation)
    rows.update(reason=reason, message=message, observed_at=now, next_check_at=at)


def record_machines(
    *, run: EvalRun, machines: Mapping[str, Mapping[str, Any]], now: datetime
) -> None:
    """Keep on which machines the sides are. No audit event: an observation."""
    run.machines = {side: dict(machine) for side, machine in machines.items()}
    rows = EvalRun.objects.filter(pk=run.pk, status=Status.STARTING)
    rows.update(machines=run.machines, observed_at=now)


@transaction.atomic
def record_serving(*, run: EvalRun, engines: Mapping[Side, str], now: datetime) -> None:
    """Every side answered for the first time. engines: side → which engine it is."""
    facts = {
        "engine": engines[Side.CANDIDATE],
        "instance_type": run.machine_of(Side.CANDIDATE),
    }
    baseline_engine = engines.get(Side.BASELINE, "")
    changed = change_from(
        run, (Status.STARTING,), now=now,
        status=Status.RUNNING, serving_at=now, **facts, baseline_engine=baseline_engine,
        attempts=0,
        next_check_at=now, reason="", message="",
    )  # fmt: skip
    if not changed:
        return
    if run.baseline_id:
        machine = run.machine_of(Side.BASELINE)
        facts |= {"baseline_engine": baseline_engine, "baseline_instance_type": machine}
    audit.record(action=Action.EVAL_SERVING, actor=WORKER, target=run, now=now, data=facts)


@transaction.atomic
def record_packets(
    *,
    run: EvalRun,
    results: Iterable[EvalPacketResult],
    stumbles: Mapping[str, int],
    now: datetime,
) -> bool:
    """Keep how calls ended: what was answered or failed for good, and at what an engine stumbled. A
    packet that a side answered twice counts once. False where the run has ended meanwhile.
    """
    EvalPacketResult.objects.bulk_create(results, ignore_conflicts=True)
    run.packets_done = run.packet_results.count() // len(run.sides)
    run.stumbles = dict(stumbles)
    return bool(
        EvalRun.objects.filter(pk=run.pk, status=Status.RUNNING).update(
            packets_done=run.packets_done,
            stumbles=run.stumbles,
            observed_at=now,
            reason="",
            message="",
        )  # fmt: skip
    )


def continue_soon(*, run: EvalRun, now: datetime) -> None:
    """The pass used its time: go on at once, in another task."""
    EvalRun.objects.filter(pk=run.pk, generation=run.generation).update(
        next_check_at=now, attempts=0
    )
    enqueue_on_commit("evals.reconcile_eval_run", run_id=str(run.pk))


@transaction.atomic
def record_eval_run(*, run: EvalRun, cost: Decimal | None, now: datetime) -> None:
    """All packets are answered: judge them by the suite's rule, keep report and verdict, and have
    what was served removed. cost: of its machines at most, in dollars; None where nobody knows.
    """
    found = judging.judged(run)
    run.metrics, run.baseline_metrics = found.metrics, found.baseline_metrics
    run.judgement, run.cost_usd = found.judgement.as_json(), cost
    content = report.made(run)
    digest = digest_of_bytes(content)
    passed = found.judgement.passed
    changed = change_from(
        run, (Status.RUNNING,), now=now,
        status=Status.PASSED if passed else Status.FAILED, metrics=run.metrics,
        baseline_metrics=run.baseline_metrics, judgement=run.judgement, cost_usd=cost,
        report_digest=digest,
        finished_at=now, attempts=0, next_check_at=now, reason="", message="",
    )  # fmt: skip
    if not changed:
        return
    EvalReport.objects.create(run=run, content=content)
    facts = {
        "passed": passed,
        "f1": run.metrics["f1"],
        "report_digest": digest,
        "engine": run.engine,
        "baseline": run.baseline.name if run.baseline else "",
    }
    audit.record(action=Action.EVAL_RECORDED, actor=WORKER, target=run, now=now, data=facts)
    # approvals over the version's run before it count no more
    enqueue_on_commit("promotions.start_approved_promotions")


@transaction.atomic
def fail_eval_run(
    *, run: EvalRun, reason: str, message: str, now: datetime, cost: Decimal | None = None
) -> None:
    """The run cannot be carried out; what it served is removed. Starting another run is the way to
    try again.
    """
    changed = change_from(
        run, EvalRun.OPEN, now=now,
        status=Status.ERROR, finished_at=now, attempts=0, next_check_at=now, reason=reason,
        message=message, cost_usd=cost,
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
    """What it served is gone from the cluster. The run is done, but for a report that the registry
    does not have yet.
    """
    rows = EvalRun.objects.filter(pk=run.pk, removed_at=None).exclude(status__in=EvalRun.OPEN)
    due = now if run.report_digest and not run.report_key else None
    if rows.update(removed_at=now, observed_at=now, next_check_at=due):
        run.removed_at = now
        audit.record(action=Action.EVAL_REMOVED, actor=WORKER, target=run, now=now)


@transaction.atomic
def record_report_stored(*, run: EvalRun, key: str, now: datetime) -> None:
    """The registry keeps the report, locked."""
    rows = EvalRun.objects.filter(pk=run.pk, report_key="").exclude(report_digest="")
    done = {"next_check_at": None} if run.removed_at is not None else {}
    if rows.update(report_key=key, observed_at=now, **done):
        run.report_key = key
        facts = {"key": key, "report_digest": run.report_digest}
        audit.record(action=Action.EVAL_STORED, actor=WORKER, target=run, now=now, data=facts)
