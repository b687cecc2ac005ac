"""Pipelines as rows: the rules under which their tokens are believed, the changes of rules that two
people make, and each run that signed in.

A pipeline is the rules of its name. A rule never changes; one comes into force through an approved
change that says the very same (a trigger holds that), and the newest of a name counts until
somebody ends it. A token of GitHub signs a run in once: its id is a key here.
"""

import uuid

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.asked import Asked, AskedQuerySet
from apps.accounts.models import Team, User
from apps.accounts.pipelines.rules import TrustRule, server_of
from apps.accounts.roles import DECIDES_PIPELINES, OVERSEES_PIPELINES
from apps.common import decisions

NAME = r"^[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?\Z"


class PipelineChangeQuerySet(AskedQuerySet["PipelineChange"]):
    """Changes of rules, newest first."""

    def visible_to(self, user: User) -> "PipelineChangeQuerySet":
        """Return the changes a person may see: all, for those who ask, decide or oversee."""
        return self if user.has_role(*OVERSEES_PIPELINES) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["PipelineChange"]:
        """Return the changes that wait for this person."""
        is_decider = user.has_role(*DECIDES_PIPELINES)
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by", "team")


class PipelineChange(Asked):
    """A rule that one person proposes for a pipeline, and another puts in force or not.

    body: as TrustRule.as_json. before: the rule that it replaces, NULL for a new pipeline.
    """

    name = models.CharField(max_length=40)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="+")
    body = models.JSONField()
    before = models.ForeignKey(
        "accounts.PipelineRule",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
    )

    objects = PipelineChangeQuerySet.as_manager()

    class Meta(Asked.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("name",),
                condition=Q(status="PENDING"),
                name="pipeline_change_one_pending_per_pipeline",
            ),
            *decisions.two_people("pipeline_change"),
        )

    def __str__(self) -> str:
        return f"rule of the pipeline {self.name}"

    def get_absolute_url(self) -> str:
        """Return the change's page."""
        return reverse("accounts:pipeline_change_detail", args=[self.pk])

    @property
    def rule(self) -> TrustRule:
        """Return the rule that it proposes."""
        return TrustRule.of(self.body)


class PipelineRuleQuerySet(models.QuerySet["PipelineRule"]):
    """Rules, the newest of each pipeline first."""

    def newest(self) -> "PipelineRuleQuerySet":
        """Return the newest rule of each pipeline, ended or not, by name."""
        return self.order_by("name", "-number").distinct("name")

    def visible_to(self, user: User) -> "PipelineRuleQuerySet":
        """Return the rules a person may see: all, for those who ask, decide or oversee."""
        return self if user.has_role(*OVERSEES_PIPELINES) else self.none()


class PipelineRule(models.Model):
    """The rule of a pipeline from a moment on. body: as TrustRule.as_json; digest: over it. number:
    counts within a name. ended_at: since when nobody comes in by it any more.
    """

    name = models.CharField(max_length=40)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    body = models.JSONField()
    digest = models.CharField(max_length=71)
    active_from = models.DateTimeField()
    change = models.OneToOneField(PipelineChange, on_delete=models.PROTECT, related_name="made")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    end_reason = models.TextField(blank=True, default="")

    objects = PipelineRuleQuerySet.as_manager()

    class Meta:
        ordering = ("name", "-number")
        constraints = (
            models.UniqueConstraint(fields=("name", "number"), name="pipeline_rule_number_once"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True, ended_by__isnull=True, end_reason="")
                | Q(ended_at__isnull=False, ended_by__isnull=False),
                name="pipeline_rule_ended_by_somebody",
            ),
        )

    def __str__(self) -> str:
        return f"pipeline {self.name}"

    def get_absolute_url(self) -> str:
        """Return the pipeline's page."""
        return reverse("accounts:pipeline_detail", args=[self.name])

    @property
    def rule(self) -> TrustRule:
        """Return the rule."""
        return TrustRule.of(self.body)


class PipelineRun(models.Model):
    """A run of a workflow that signed in. token_id: the id (jti) of the token of GitHub, which is
    taken once; digest: of the portal's token that it was exchanged for.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline_rule = models.ForeignKey(PipelineRule, on_delete=models.PROTECT, related_name="runs")
    account = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    token_id = models.CharField(max_length=255, unique=True)
    run_id = models.CharField(max_length=40)
    run_attempt = models.CharField(max_length=10)
    sha = models.CharField(max_length=64)
    actor = models.CharField(max_length=60)  # the login at GitHub
    digest = models.CharField(max_length=64, unique=True)
    signed_in_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ("-signed_in_at", "-id")
        indexes = (
            models.Index(fields=("pipeline_rule", "-signed_in_at"), name="pipeline_run_newest"),
        )

    def __str__(self) -> str:
        return f"run {self.run_id} of {self.pipeline_rule}"

    @property
    def address(self) -> str:
        """Return where GitHub shows the run."""
        rule = self.pipeline_rule.rule
        return f"{server_of(rule.issuer)}/{rule.repository}/actions/runs/{self.run_id}"
