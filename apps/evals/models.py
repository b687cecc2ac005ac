"""How good a version is: evaluation runs of a suite of synthetic packets, with the thresholds that
decide eligibility.

A run serves the candidate in the namespace `evals`, which no route may name, asks it each packet's
question, scores the answers against the gold codes and stores the report with its digest. Packets
are synthetic; outputs are kept as codes and figures only, never as text.
"""

import uuid

from django.db import models

from apps.accounts.models import Team, User
from apps.catalog.models import ModelVersion
from apps.common.decisions import PENDING, two_people
from apps.common.leases import Reconciled


class EvalSuiteQuerySet(models.QuerySet["EvalSuite"]):
    """Revisions of suites."""

    def visible_to(self, user: User) -> "EvalSuiteQuerySet":
        """Return the revisions a person may see: all, for anybody with a role."""
        return self if user.roles else self.none()

    def pending(self) -> "EvalSuiteQuerySet":
        """Return the revisions that wait for a decision."""
        return self.filter(status=EvalSuite.Status.PENDING)

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


class EvalRun(Reconciled):
    """One evaluation run of one version on one suite."""

    class Status(models.TextChoices):
        """PASSED and FAILED speak of the thresholds; ERROR means that the run could not be carried
        out.
        """

        PENDING = "PENDING", "Waiting"
        STARTING = "STARTING", "Starting the candidate"
        RUNNING = "RUNNING", "Running"
        PASSED = "PASSED", "Passed"
        FAILED = "FAILED", "Below threshold"
        ERROR = "ERROR", "Error"

    OPEN = (Status.PENDING, Status.STARTING, Status.RUNNING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    suite = models.ForeignKey(EvalSuite, on_delete=models.PROTECT, related_name="runs")
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="eval_runs"
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    # the candidate answered for the first time
    serving_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # its InferenceService is gone from the cluster
    removed_at = models.DateTimeField(null=True, blank=True)
    deploy_commit = models.CharField(max_length=40, blank=True, default="")
    remove_commit = models.CharField(max_length=40, blank=True, default="")
    packets_done = models.PositiveIntegerField(default=0)
    engine = models.CharField(max_length=60, blank=True, default="")  # "stand-in" or "vllm 0.32.0"
    instance_type = models.CharField(max_length=40, blank=True, default="")
    # {"precision":, "recall":, "f1":, "groundedness":, "ttft_p95_ms":, …}
    metrics = models.JSONField(default=dict)
    report_digest = models.CharField(max_length=71, blank=True, default="")
    # what it was compared with when it finished: the newest passed run of the version live then;
    # NULL: there was none
    baseline_run = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

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
        )

    def __str__(self) -> str:
        return f"evaluation {str(self.id)[:8]} of {self.model_version}"

    @property
    def inference_service(self) -> str:
        """Return the name of the candidate's InferenceService in `evals`."""
        return f"{self.model_version.name}-{str(self.id)[:8]}"


class EvalPacketResult(models.Model):
    """How the candidate did on one synthetic packet: codes and figures, no text."""

    run = models.ForeignKey(EvalRun, on_delete=models.CASCADE, related_name="packet_results")
    packet_id = models.CharField(max_length=40)
    expected = models.JSONField()  # ["E11.9", "99213"]
    predicted = models.JSONField()
    grounded = models.PositiveIntegerField()  # predicted codes that stand in the packet's text
    ttft_ms = models.FloatField()
    latency_ms = models.FloatField()
    output_tokens = models.PositiveIntegerField()

    class Meta:
        ordering = ("packet_id",)
        constraints = (
            models.UniqueConstraint(fields=("run", "packet_id"), name="packet_once_per_run"),
        )

    def __str__(self) -> str:
        return f"{self.packet_id} in {self.run_id}"
