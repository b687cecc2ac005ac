"""Which version serves callers: promotions that another person approves, and the rollouts that
carry them out.

An approval is bound to what was seen, down to the bytes that each step writes (binding/). A
rollout moves in steps; each step is one Git commit (a unique row here), and each phase is read from
the cluster's own objects. Between two weights the candidate is measured against the baseline, and
the decision is kept with its numbers.
"""

import uuid
from datetime import datetime
from typing import Optional

from django.db import models
from django.db.models import CharField, Exists, F, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat

from apps.accounts.models import User
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common import decisions
from apps.common.leases import Reconciled
from apps.evals.models import EvalRun
from apps.manifests.serving_settings import ServingSettings

# Django finds an app's models through this module only
from apps.promotions.holding.models import RolloutHold  # noqa: F401
from apps.promotions.policy.models import PolicyChange, PolicyRevision  # noqa: F401
from apps.promotions.policy.reviewers import may_approve

# ModelVersion.name of a promotion's or a rollout's version, as the database puts it together
VERSION_NAME = Concat(
    "registered_model__name", Value("-v"), Cast("model_version__number", CharField())
)


class ServingClass(models.TextChoices):
    """What a version costs while nobody calls: its machine, or nothing but the wait for a start."""

    WARM = "WARM", "Warm"
    SCALE_TO_ZERO = "SCALE_TO_ZERO", "Scale to zero"


class PromotionQuerySet(models.QuerySet["Promotion"]):
    """Promotions, newest first."""

    def pending(self) -> "PromotionQuerySet":
        """Return the promotions that wait for a reviewer."""
        return self.filter(status=Promotion.Status.PENDING)

    def undone(self) -> "PromotionQuerySet":
        """Return the promotions that wait for a reviewer, or approved for the start of their
        rollout.
        """
        begun = Rollout.objects.filter(promotion=OuterRef("pk"))
        waits = Q(status=Promotion.Status.PENDING) | Q(status=Promotion.Status.APPROVED)
        return self.filter(waits & ~Exists(begun))

    def to_decide(self, user: User) -> models.QuerySet["Promotion"]:
        """Return the promotions that wait for this person: those of others that the policy lets
        them decide about, and that they have not approved already.
        """
        given = Approval.objects.counting().filter(
            promotion=OuterRef("pk"), approver__person=user.person
        )
        rows = self.pending().filter(may_approve(user), ~Exists(given))
        return decisions.waiting_for(rows, user)

    def with_version_name(self) -> "PromotionQuerySet":
        """Return the promotions to be searched by version_name: `<model>-v<number>`."""
        return self.alias(version_name=VERSION_NAME)

    def visible_to(self, user: User) -> "PromotionQuerySet":
        """Return the promotions a person may see: everybody with a role sees what serves and
        why.
        """
        return self if user.roles else self.none()


class Promotion(models.Model):
    """A proposal that a version should serve a model's callers."""

    class Status(models.TextChoices):
        """What was decided. APPROVED once as many persons approved as the policy asks for; until
        its rollout starts it may still be withdrawn, expire, or be superseded by a newer one. What
        people call its stage is told by stages.py.
        """

        PENDING = "PENDING", "Waiting for a reviewer"
        APPROVED = "APPROVED", "Approved"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"
        EXPIRED = "EXPIRED", "Expired"
        SUPERSEDED = "SUPERSEDED", "Superseded"
        # nobody approved it, or not all who should: emergencies/models.py
        EMERGENCY = "EMERGENCY", "Rolled forward in an emergency"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="promotions"
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="promotions"
    )
    baseline = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )  # what serves when this is judged; NULL: nothing does
    eval_run = models.ForeignKey(EvalRun, on_delete=models.PROTECT, related_name="promotions")
    manifest_digest = models.CharField(max_length=71)
    # the rules that were in force when it was proposed, which it is decided and carried out under
    policy_revision = models.ForeignKey(
        PolicyRevision, on_delete=models.PROTECT, related_name="promotions"
    )
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="promotions")
    requested_at = models.DateTimeField()
    justification = models.TextField()
    serving_class = models.CharField(
        max_length=16, choices=ServingClass.choices, default=ServingClass.WARM
    )
    # Hours in which a version that sleeps is kept ready: "mon-fri 07:30-19:00 America/New_York", or
    # none.
    pre_warm = models.CharField(max_length=80, blank=True, default="")
    # with what it is served (manifests/serving_settings.py); {} of one from before they were asked
    serving_settings = models.JSONField(default=dict, blank=True)
    # its rollout may go on where too few calls came to compare it with the baseline
    without_traffic = models.BooleanField(default=False)
    # what an approval of it is over (binding/bound.py), and its digest; {} and "" of one from
    # before there were any
    binding = models.JSONField(default=dict)
    binding_digest = models.CharField(max_length=71, blank=True, default="")
    # when its approvals were last voided, and in words by what; NULL where they never were
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.TextField(blank=True, default="")
    # what it does to the model's cost a month (effects.py); {} until that was worked out
    cost_effect = models.JSONField(default=dict, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    decided_at = models.DateTimeField(null=True, blank=True)

    objects = PromotionQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model",),
                condition=Q(status="PENDING"),
                name="promotion_one_pending_per_model",
            ),
            models.UniqueConstraint(fields=("id", "requested_by"), name="promotion_with_requester"),
            models.CheckConstraint(
                condition=Q(status="PENDING", decided_at__isnull=True)
                | (~Q(status="PENDING") & Q(decided_at__isnull=False)),
                name="promotion_decided_at_when_decided",
            ),
            models.CheckConstraint(
                condition=Q(serving_class__in=("WARM", "SCALE_TO_ZERO")),
                name="promotion_serving_class_is_known",
            ),
            models.CheckConstraint(
                condition=Q(pre_warm="") | Q(serving_class="SCALE_TO_ZERO"),
                name="promotion_pre_warm_only_where_it_sleeps",
            ),
            models.CheckConstraint(
                condition=Q(voided_at__isnull=True, void_reason="")
                | (Q(voided_at__isnull=False) & ~Q(void_reason="")),
                name="promotion_voided_with_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model_version} → production"

    @property
    def settings(self) -> ServingSettings:
        """Return with what it is served."""
        return ServingSettings.of_json(self.serving_settings)

    def newest_rollout(self) -> Optional["Rollout"]:
        """Return the rollout that carries it out, the newest where there are several; costs nothing
        if prefetched.
        """
        return next(iter(self.rollouts.all()), None)

    def dossier_digest(self, until: datetime) -> str:
        """Return the digest of the dossier that was approved last until a moment, inclusive; ""
        where none was kept. One query.
        """
        counting = self.approvals.counting().filter(decided_at__lte=until)
        kept = counting.exclude(dossier_digest="").values_list("dossier_digest", flat=True)
        return kept.last() or ""


class ApprovalQuerySet(models.QuerySet["Approval"]):
    """Decisions of reviewers, oldest first."""

    def counting(self) -> "ApprovalQuerySet":
        """Return the approvals that count towards those that the policy asks for: not those that
        were voided.
        """
        return self.filter(decision=Approval.Decision.APPROVE, voided_at=None)

    def persons(self) -> int:
        """Return how many persons gave them, with however many accounts; not whoever proposed it,
        where an account that approved was found to be theirs. One query.
        """
        others = self.exclude(approver__person=F("requested_by__person"))
        found = others.aggregate(persons=models.Count("approver__person", distinct=True))
        return int(found["persons"])


class Approval(models.Model):
    """A reviewer's decision, bound to the evidence that was on the page.

    requested_by repeats the promotion's requester, so that a check constraint can refuse
    self-approval; a composite foreign key (see migrations) keeps it equal to the promotion's.
    """

    class Decision(models.TextChoices):
        """One word of the reviewer."""

        APPROVE = "APPROVE", "Approved"
        REJECT = "REJECT", "Rejected"

    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="approvals")
    approver = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    reason = models.TextField()
    decided_at = models.DateTimeField()
    manifest_digest = models.CharField(max_length=71)
    eval_run = models.ForeignKey(EvalRun, on_delete=models.PROTECT, related_name="+")
    baseline = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # what was on the reviewer's page (dossier.py): conditions, figures, settings, every step's diff
    evidence = models.JSONField(default=dict)
    # of the promotion's binding, and of the dossier that was decided over (kept in KeptBytes)
    binding_digest = models.CharField(max_length=71, blank=True, default="")
    dossier_digest = models.CharField(max_length=71, blank=True, default="")
    # set once, where something changed that it was over: it counts no more
    voided_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.TextField(blank=True, default="")

    objects = ApprovalQuerySet.as_manager()

    class Meta:
        ordering = ("decided_at",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(approver=F("requested_by")), name="approval_not_by_requester"
            ),
            models.UniqueConstraint(
                fields=("promotion", "approver"),
                condition=Q(voided_at__isnull=True),
                name="approval_once_per_person",
            ),
            models.CheckConstraint(
                condition=Q(voided_at__isnull=True, void_reason="")
                | (Q(voided_at__isnull=False, decision="APPROVE") & ~Q(void_reason="")),
                name="approval_voided_with_a_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.approver} {self.decision} {self.promotion}"

    @property
    def counts(self) -> bool:
        """Tell whether it counts towards the approvals that the policy asks for, as
        ApprovalQuerySet.counting does.
        """
        return self.decision == Approval.Decision.APPROVE and self.voided_at is None


class RolloutQuerySet(models.QuerySet["Rollout"]):
    """Rollouts, newest first."""

    def visible_to(self, user: User) -> "RolloutQuerySet":
        """Return the rollouts of the promotions that a person may see."""
        return self.filter(promotion__in=Promotion.objects.visible_to(user))

    def open(self) -> "RolloutQuerySet":
        """Return the rollouts still under way."""
        return self.filter(status__in=Rollout.OPEN)

    def live(self) -> "RolloutQuerySet":
        """Return the rollouts whose version serves all callers of its model now."""
        return self.filter(status=Rollout.Status.LIVE)


class Rollout(Reconciled):
    """Carries a promotion out: SERVE (start beside the baseline), SHIFT (weight by weight to 100),
    RETIRE (the baseline goes). It goes back by itself (RETURN) when a gate fails; REMOVE takes the
    version out of the cluster.
    """

    class Status(models.TextChoices):
        """LIVE: it serves all callers. REPLACED: it did, until a newer rollout took over.
        SUPERSEDED: it never did.
        """

        PENDING = "PENDING", "Waiting"
        PROGRESSING = "PROGRESSING", "Rolling out"
        LIVE = "LIVE", "Live"
        REPLACED = "REPLACED", "Replaced"
        FAILED = "FAILED", "Failed"
        ABORTED = "ABORTED", "Aborted"
        SUPERSEDED = "SUPERSEDED", "Superseded"

    class Step(models.TextChoices):
        """Each step is one commit. A shift below 100 % carries its weight in its name: SHIFT_10."""

        SERVE = "SERVE", "Start the version"
        SHIFT = "SHIFT", "Move all callers to it"
        RETURN = "RETURN", "Give all callers back to the baseline"
        RETIRE = "RETIRE", "Stop the baseline"
        REMOVE = "REMOVE", "Take the version back"  # only after an abort, or when superseded

    OPEN = (Status.PENDING, Status.PROGRESSING)
    LEAVING = (Status.ABORTED, Status.SUPERSEDED)  # its version is taken out of the cluster

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    promotion = models.ForeignKey(Promotion, on_delete=models.PROTECT, related_name="rollouts")
    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="rollouts"
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="rollouts"
    )
    baseline = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )  # what serves when it starts; NULL: nothing does
    rolls_back = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="rolled_back_by"
    )  # the live rollout that this one goes back from, to a version approved before
    steps = models.JSONField(default=list)  # the candidate's percents, ascending; the last is 100
    # one more each time its weights are moved from the beginning
    attempt = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    # while set, the weights stay where they are
    paused_at = models.DateTimeField(null=True, blank=True)
    # percent of calls, as observed at the gateway's route
    weight = models.PositiveSmallIntegerField(default=0)
    # both versions as last measured at the present weight
    health = models.JSONField(default=dict, blank=True)
    # while it carries callers and is not ready
    unready_since = models.DateTimeField(null=True, blank=True)
    # not empty: callers go back
    return_reason = models.CharField(max_length=24, blank=True, default="")
    return_message = models.TextField(blank=True, default="")
    engine = models.CharField(max_length=60, blank=True, default="")
    instance_type = models.CharField(max_length=40, blank=True, default="")
    # image and arguments of a replica, as the files of SERVE say; {} before they are committed
    container = models.JSONField(default=dict, blank=True)
    # what serves, held against what was approved, as last seen: what, approved, found, verdict
    checks = models.JSONField(default=list, blank=True)
    # where that differs: what, approved, found; kept until it was seen to be right again
    differences = models.JSONField(default=list, blank=True)
    drifted_at = models.DateTimeField(null=True, blank=True)  # since when it differs
    started_at = models.DateTimeField()
    # the last time anything got further; a rollout that stalls fails
    moved_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RolloutQuerySet.as_manager()

    class Meta:
        ordering = ("-started_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model",),
                condition=Q(status__in=("PENDING", "PROGRESSING")),
                name="rollout_one_open_per_model",
            ),
            models.UniqueConstraint(
                fields=("registered_model",),
                condition=Q(status="LIVE"),
                name="rollout_one_live_per_model",
            ),
            models.UniqueConstraint(
                fields=("promotion",),
                condition=Q(rolls_back__isnull=True),
                name="rollout_one_per_promotion",
            ),
            models.CheckConstraint(
                condition=Q(differences=[], drifted_at__isnull=True)
                | (~Q(differences=[]) & Q(drifted_at__isnull=False)),
                name="rollout_drifted_at_where_it_differs",
            ),
        )

    def __str__(self) -> str:
        return f"rollout of {self.model_version}"

    @property
    def sleeps(self) -> bool:
        """Tell whether no replica runs while nobody calls. Needs the promotion loaded."""
        return self.promotion.serving_class == ServingClass.SCALE_TO_ZERO


def shift_to(percent: int) -> str:
    """Return the step that gives the version this much of the callers."""
    return str(Rollout.Step.SHIFT) if percent == 100 else f"{Rollout.Step.SHIFT}_{percent}"


def weight_of(step: str) -> int | None:
    """Return the percent that a step gives the version; None for a step that moves no weight
    towards it.
    """
    if step == Rollout.Step.SHIFT:
        return 100
    kind, _, percent = step.partition("_")
    return int(percent) if kind == Rollout.Step.SHIFT and percent.isdecimal() else None


class RolloutCommit(models.Model):
    """The one commit of a rollout step. observed_at: when the gateway was seen to have accepted its
    weights.
    """

    rollout = models.ForeignKey(Rollout, on_delete=models.PROTECT, related_name="commits")
    attempt = models.PositiveSmallIntegerField(default=1)
    step = models.CharField(max_length=12)
    sha = models.CharField(max_length=40)
    committed_at = models.DateTimeField()
    observed_at = models.DateTimeField(null=True, blank=True)
    # when the branch was found without it: it counts no more
    lost_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("committed_at", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("rollout", "attempt", "step"), name="rollout_one_commit_per_step"
            ),
        )

    def __str__(self) -> str:
        return f"{self.step} {self.sha[:8]}"

    @property
    def weight(self) -> int | None:
        """Return the percent of the callers that the step gives the version, if it is such a
        step.
        """
        return weight_of(self.step)

    @property
    def words(self) -> str:
        """Return what the step does, for people."""
        if self.weight is not None and self.weight < 100:
            return f"Move {self.weight} % of the callers to it"
        return str(Rollout.Step(self.step).label)


class GateResult(models.Model):
    """What was decided at one weight, once, from the numbers that were measured there since the
    gateway accepted it.
    """

    class Verdict(models.TextChoices):
        """FAILED gives all callers back to the baseline; the other two let the rollout go on.
        Without enough traffic that is a person's word: the proposal's, or decided_by's.
        """

        PASSED = "PASSED", "Passed"
        NO_TRAFFIC = "NO_TRAFFIC", "Not enough traffic"
        FAILED = "FAILED", "Failed"

    commit = models.OneToOneField(RolloutCommit, on_delete=models.PROTECT, related_name="gate")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    judged_at = models.DateTimeField()
    candidate = models.JSONField()  # calls, failed, ttft_p95_ms, tokens_per_second, ready_replicas
    baseline = models.JSONField()
    words = models.TextField()
    # who let it go on where too few calls came, and why; NULL where the numbers or the proposal did
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True, default="")

    class Meta:
        ordering = ("judged_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True, reason="")
                | (Q(decided_by__isnull=False, verdict="NO_TRAFFIC") & ~Q(reason="")),
                name="gate_result_decided_only_without_traffic",
            ),
        )

    def __str__(self) -> str:
        return f"{self.verdict} at {self.commit.step}"


class RolloutPhase(models.Model):
    """What the cluster reported on the way, once per phase, with the object's own time where it has
    one.
    """

    class Phase(models.TextChoices):
        """In the order they happen. The words are what the page shows."""

        COMMITTED = "COMMITTED", "Committed to Git"
        SYNCED = "SYNCED", "Applied by Argo CD"
        CLAIMED = "CLAIMED", "Node claimed"
        LAUNCHED = "LAUNCHED", "Node launched"
        REGISTERED = "REGISTERED", "Node registered"
        INITIALIZED = "INITIALIZED", "Node initialized"
        SCHEDULED = "SCHEDULED", "Pod scheduled"
        WEIGHTS = "WEIGHTS", "Weights pulled and checked"
        ENGINE = "ENGINE", "Engine started"
        READY = "READY", "Ready"
        SHIFTED = "SHIFTED", "Serving all callers"

    rollout = models.ForeignKey(Rollout, on_delete=models.CASCADE, related_name="phases")
    phase = models.CharField(max_length=16, choices=Phase.choices)
    reached_at = models.DateTimeField()  # the object's own time
    learned_at = models.DateTimeField()  # when the portal saw it
    detail = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ("reached_at",)
        constraints = (
            models.UniqueConstraint(fields=("rollout", "phase"), name="rollout_phase_once"),
        )

    def __str__(self) -> str:
        return f"{self.phase} of {self.rollout_id}"
