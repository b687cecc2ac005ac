"""Requests for a new open-weight model: what somebody wants to bring in, under what license, from
where, for what work; sized before anybody has its weights, and decided by somebody else.
"""

from django.db import models

from apps.accounts.asked import AskedInItsOwnWords
from apps.accounts.models import Role, Team, User
from apps.accounts.roles import DECIDES_NEW_MODELS
from apps.common import decisions


class ModelIntakeQuerySet(models.QuerySet["ModelIntake"]):
    """Requests, newest first."""

    def pending(self) -> "ModelIntakeQuerySet":
        """Return the requests that wait for a decision."""
        return self.filter(status=ModelIntake.Status.PENDING)

    def visible_to(self, user: User) -> "ModelIntakeQuerySet":
        """Return the requests this person may see: all, for anybody with a role, as the catalog."""
        return self if user.roles else self.none()

    def to_decide(self, user: User) -> models.QuerySet["ModelIntake"]:
        """Return the requests that wait for this person: those of others that they decide about."""
        rows = decisions.waiting_for(
            self.pending(), user, is_decider=user.has_role(*DECIDES_NEW_MODELS)
        )
        if user.has_role(Role.PLATFORM_ENGINEER):
            return rows
        return rows.filter(owner_team=user.team_id)


class ModelIntake(AskedInItsOwnWords):
    """Somebody asks for a new model. The fields that register it are those of RegisteredModel.

    source: where its weights are published; revision: which of them. weight_bytes: of all its
    weights, as its publisher states them. config: its config.json as it is published there. load:
    the expected work, as sizing's Load. estimate: what sizing said when it was asked for; {} where
    it said nothing. owner_team: which will own it.
    """

    class Status(models.TextChoices):
        """Decided once, by somebody who did not ask."""

        PENDING = "PENDING", "Waiting for a decision"
        APPROVED = "APPROVED", "Approved and registered"
        REJECTED = "REJECTED", "Rejected"
        WITHDRAWN = "WITHDRAWN", "Withdrawn"

    name = models.CharField(max_length=40)
    title = models.CharField(max_length=120)
    description = models.TextField()
    task = models.CharField(max_length=60)
    family = models.CharField(max_length=60)
    license = models.CharField(max_length=60)
    data_class = models.CharField(max_length=16)
    source = models.CharField(max_length=300)
    revision = models.CharField(max_length=80, blank=True, default="")
    parameter_count = models.BigIntegerField()
    weight_bytes = models.BigIntegerField()
    config = models.JSONField()
    load = models.JSONField()
    estimate = models.JSONField(default=dict, blank=True)
    owner_team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    registered_model = models.OneToOneField(
        "catalog.RegisteredModel",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="intake",
    )

    objects = ModelIntakeQuerySet.as_manager()

    class Meta:
        ordering = ("-requested_at", "-id")
        indexes = (models.Index(fields=("-requested_at", "-id"), name="model_intake_newest"),)
        constraints = (
            *decisions.two_people("model_intake"),
            models.UniqueConstraint(
                fields=("name",),
                condition=models.Q(status="PENDING"),
                name="model_intake_one_open_per_name",
            ),
            models.CheckConstraint(
                condition=models.Q(status="APPROVED", registered_model__isnull=False)
                | (~models.Q(status="APPROVED") & models.Q(registered_model__isnull=True)),
                name="model_intake_registered_when_approved",
            ),
            models.CheckConstraint(
                condition=models.Q(weight_bytes__gt=0, parameter_count__gt=0),
                name="model_intake_has_a_size",
            ),
        )

    def __str__(self) -> str:
        return f"request for {self.name}"
