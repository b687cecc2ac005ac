"""How good a version is: evaluation runs of a suite of synthetic packets, with the thresholds that
decide eligibility.

A run serves the candidate, and beside it the baseline that it may replace, in the namespace
`evals`, which no route may name; it asks both each packet's question, scores the answers, judges
the candidate by the suite's rule, and keeps the report with its digest, also beside the version in
the registry. Packets hold no member's data, so their answers are kept whole.
"""

import uuid
from typing import Any

from django.db import models

from apps.accounts.models import Team, User
from apps.accounts.roles import DECIDES_SUITES
from apps.catalog.models import ModelVersion
from apps.common.decisions import PENDING, two_people, waiting_for
from apps.common.leases import Reconciled


class EvalSuiteQuerySet(models.QuerySet["EvalSuite"]):
    """Revisions of suites."""

    def visible_to(self, user: User) -> "EvalSuiteQuerySet":
        """Return the revisions a person may see: all, for anybody with a role."""
        return self if user.roles else self.none()

    def pending(self) -> "EvalSuiteQuerySet":
        """Return the revisions that wait for a decision."""
        return self.filter(status=EvalSuite.Status.PENDING)

    def to_decide(self, user: User) -> models.QuerySet["EvalSuite"]:
        """Return the revisions that wait for this person: for each reviewer, those of others."""
        decides = user.has_role(*DECIDES_SUITES)
        return waiting_for(self.pending(), user, is_decider=decides)

    def in_force(self) -> "EvalSuiteQuerySet":
        """Return of each suite its newest revision that was approved, or that ships."""
        decided = self.filter(status__in=(EvalSuite.Status.APPROVED, EvalSuite.Status.SHIPPED))
        newest = decided.order_by("slug", "-revision").distinct("slug")
        return self.filter(pk__in=newest.values("pk"))


class EvalSuite(models.Model):
    """One revision of a suite: which packets are asked and how, which thresholds and rule decide,
    and which models it judges. It never changes: a changed suite is its next revision, which
    counts once somebody else has approved it.
    """

    class Status(models.TextChoices):
        """SHIPPED: it came with the product, so nobody decided."""

        PENDING = "PENDING", "Waiting"
        APPROVED = "APPROVED", "Approved"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"
        SHIPPED = "SHIPPED", "Ships with the product"

    ANY = "*"  # in `judges`: every model that no other suite names

    slug = models.SlugField(max_length=60)
    revision = models.PositiveIntegerField()
    title = models.CharField(max_length=120)
    about = models.TextField(blank=True, default="")
    # NULL: ships with the product
    owner_team = models.ForeignKey(
        Team, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    digest = models.CharField(max_length=71, unique=True)  # "sha256:<hex>" over all of it
    # names the packets' rows, which revisions share
    packets_digest = models.CharField(max_length=71, blank=True, default="")
    packet_count = models.PositiveIntegerField()
    # {"f1": {"minimum": 0.2}, "ttft_p95_ms": {"maximum": 20000}, …}
    thresholds = models.JSONField()
    # {"confidence": 0.95, "not_worse_by": {"f1": 0.02}} (scoring/decision.py)
    rule = models.JSONField(default=dict)
    # {"form": "extraction", "system":, "ask":, "examples": [], "max_tokens":} (suites/questions.py)
    question = models.JSONField(default=dict)
    judges = models.JSONField(default=list)  # names of models, or ANY
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    justification = models.TextField(blank=True, default="")
    requested_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_reason = models.TextField(blank=True, default="")

    objects = EvalSuiteQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("slug", "revision"), name="suite_revision_once"),
            models.UniqueConstraint(
                fields=("slug",), condition=models.Q(status=PENDING), name="suite_one_pending"
            ),
            models.CheckConstraint(
                condition=models.Q(status="SHIPPED") | models.Q(requested_by__isnull=False),
                name="suite_asked_for_by_somebody",
            ),
            *two_people("suite"),
        )

    def __str__(self) -> str:
        return f"{self.slug} r{self.revision}"


class SuitePacket(models.Model):
    """One synthetic packet of a suite. Rows are named by the digest of all packets that belong
    together, so revisions with the same packets share them.
    """

    packets_digest = models.CharField(max_length=71)
    number = models.PositiveIntegerField()  # its place in the suite, from 1
    packet_id = models.CharField(max_length=40)
    pages = models.PositiveIntegerField()
    style = models.CharField(max_length=40, blank=True, default="")
    in_subset = models.BooleanField(default=False)  # asked where a run has a CPU only
    content = models.JSONField()  # packets/packet.py

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(
                fields=("packets_digest", "packet_id"), name="suite_packet_once"
            ),
            models.UniqueConstraint(
                fields=("packets_digest", "number"), name="suite_packet_number_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.packet_id} of {self.packets_digest[:19]}"


class EvalRunQuerySet(models.QuerySet["EvalRun"]):
    """Runs, newest first."""

    def visible_to(self, user: User) -> "EvalRunQuerySet":
        """Return the runs a person may see: all, for anybody with a role."""
        return self if user.roles else self.none()

    def deciding(self) -> "EvalRunQuerySet":
        """Return the runs that came to a result, the newest result first. One that could not be
        carried out decides nothing.
        """
        decided = self.filter(status__in=(EvalRun.Status.PASSED, EvalRun.Status.FAILED))
        return decided.order_by("-finished_at", "-requested_at")


class Side(models.TextChoices):
    """Whose answers: those of the version that is evaluated, or of the one that it may replace."""

    CANDIDATE = "CANDIDATE", "Candidate"
    BASELINE = "BASELINE", "Baseline"


class EvalRun(Reconciled):
    """One evaluation run of one version on one suite, side by side with its baseline.

    A run of a model of which nothing served when it was asked for has no baseline.
    """

    class Status(models.TextChoices):
        """PASSED and FAILED speak of the suite's rule; ERROR means that the run could not be
        carried out, CANCELED that somebody ended it.
        """

        PENDING = "PENDING", "Waiting"
        STARTING = "STARTING", "Starting the candidate"
        RUNNING = "RUNNING", "Running"
        PASSED = "PASSED", "Passed"
        FAILED = "FAILED", "Below threshold"
        ERROR = "ERROR", "Error"
        CANCELED = "CANCELED", "Canceled"

    OPEN = (Status.PENDING, Status.STARTING, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    suite = models.ForeignKey(EvalSuite, on_delete=models.PROTECT, related_name="runs")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="eval_runs"
    )
    baseline = models.ForeignKey(
        ModelVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # which of the suite's packets it asks: "" for all, else the name of a subset of the suite
    subset = models.CharField(max_length=40, blank=True, default="")
    packets_total = models.PositiveIntegerField(default=0)  # that each side is asked
    # manifests.serving_settings, of the candidate and of the baseline
    serving_settings = models.JSONField(default=dict, blank=True)
    baseline_settings = models.JSONField(default=dict, blank=True)
    concurrency = models.PositiveSmallIntegerField(default=4)  # packets that each side has at once
    # it ends when its machines may have cost so much, by their list prices
    cost_limit_usd = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    canceled_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    # all of its sides answered for the first time
    serving_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # its InferenceServices are gone from the cluster
    removed_at = models.DateTimeField(null=True, blank=True)
    deploy_commit = models.CharField(max_length=40, blank=True, default="")
    remove_commit = models.CharField(max_length=40, blank=True, default="")
    packets_done = models.PositiveIntegerField(default=0)  # by all of its sides
    # side → {"name":, "instance_type":, "capacity_type":, "zone":, "since":}: the machine that was
    # seen; "earlier": those whose place it took, each with "until"
    machines = models.JSONField(default=dict, blank=True)
    # "packet-01" by side → how often the engine failed at it without an answer
    stumbles = models.JSONField(default=dict, blank=True)
    # what its machines cost at most until it ended; NULL: one of them has no list price
    cost_usd = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    engine = models.CharField(max_length=60, blank=True, default="")  # "stand-in" or "vllm 0.32.0"
    baseline_engine = models.CharField(max_length=60, blank=True, default="")
    instance_type = models.CharField(max_length=40, blank=True, default="")
    # {"precision":, "recall":, "f1":, "groundedness":, "ttft_p95_ms":, …}
    metrics = models.JSONField(default=dict)
    baseline_metrics = models.JSONField(default=dict, blank=True)
    # the suite's rule with what it found (scoring.judge); {} before there is a result
    judgement = models.JSONField(default=dict, blank=True)
    report_digest = models.CharField(max_length=71, blank=True, default="")
    # where the registry keeps the report, locked; "" until it does
    report_key = models.CharField(max_length=200, blank=True, default="")

    objects = EvalRunQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("model_version", "suite"),
                condition=models.Q(status__in=("PENDING", "STARTING", "RUNNING")),
                name="eval_run_one_open_per_version_and_suite",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=("PASSED", "FAILED")) | ~models.Q(report_digest=""),
                name="eval_run_result_has_report",
            ),
            models.CheckConstraint(
                condition=models.Q(status="CANCELED") ^ models.Q(canceled_by=None),
                name="eval_run_canceled_by_somebody",
            ),
            models.CheckConstraint(
                condition=models.Q(baseline=None) | ~models.Q(baseline=models.F("model_version")),
                name="eval_run_not_against_itself",
            ),
            models.CheckConstraint(
                condition=models.Q(concurrency__gte=1), name="eval_run_asks_something"
            ),
            models.CheckConstraint(
                condition=models.Q(cost_limit_usd=None) | models.Q(cost_limit_usd__gt=0),
                name="eval_run_cost_limit_is_some",
            ),
        )

    def __str__(self) -> str:
        return f"evaluation {str(self.id)[:8]} of {self.model_version}"

    @property
    def inference_service(self) -> str:
        """Return the name of the candidate's InferenceService in `evals`."""
        return self.service_of(Side.CANDIDATE)

    @property
    def sides(self) -> tuple[Side, ...]:
        """Return whom it asks: the candidate, and the baseline where it has one."""
        return (Side.CANDIDATE, Side.BASELINE) if self.baseline_id else (Side.CANDIDATE,)

    def version_of(self, side: Side) -> ModelVersion:
        """Return the version of one of its sides; reads the baseline where it is not loaded."""
        return self.model_version if side == Side.CANDIDATE or not self.baseline else self.baseline

    def service_of(self, side: Side) -> str:
        """Return the name of a side's InferenceService in `evals`."""
        return f"{self.version_of(side).name}-{str(self.id)[:8]}"

    def engine_of(self, side: Side) -> str:
        """Return which engine answered for a side; "" while none did."""
        return self.engine if side == Side.CANDIDATE else self.baseline_engine

    def machine_of(self, side: Side) -> str:
        """Return the instance type that a side ran on; "" while none was seen."""
        if side == Side.CANDIDATE and self.instance_type:
            return self.instance_type
        return str(self.machines.get(side, {}).get("instance_type", ""))

    def metrics_of(self, side: Side) -> dict[str, Any]:
        """Return the figures of a side; {} before there is a result."""
        found: dict[str, Any] = self.metrics if side == Side.CANDIDATE else self.baseline_metrics
        return found


class EvalPacketResult(models.Model):
    """What one side answered to one packet, and how that is scored."""

    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="packet_results")
    side = models.CharField(max_length=16, choices=Side.choices, default=Side.CANDIDATE)
    packet_id = models.CharField(max_length=60)
    # as it came; "" where there is none, and for those of runs that kept none
    answer = models.TextField(blank=True, default="")
    score = models.JSONField()  # scoring.scores.PacketScore
    # why there is no answer: a code of runs.asking, "" where there is one
    problem = models.CharField(max_length=40, blank=True, default="")
    problem_words = models.CharField(max_length=300, blank=True, default="")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("packet_id", "-side")
        constraints = (
            models.UniqueConstraint(
                fields=("run", "side", "packet_id"), name="packet_once_per_run_and_side"
            ),
        )

    def __str__(self) -> str:
        return f"{self.packet_id} in {self.run_id}"


class EvalReport(models.Model):
    """The report of a run that came to a result, byte for byte."""

    run = models.OneToOneField(
        EvalRun, on_delete=models.CASCADE, primary_key=True, related_name="kept_report"
    )
    content = models.BinaryField()  # canonical JSON

    def __str__(self) -> str:
        return f"report of {self.run_id}"
