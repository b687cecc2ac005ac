"""What went wrong with what serves or with its calls, or could: an episode from its first sign
until it is over, whatever comes and goes in between, and its incident in ServiceNow.

An episode opens and closes by what the rows of rollouts, versions, guard hits, objectives and
measurements say; nobody closes one by hand. ServiceNow gets one incident for each, found again by
its correlation id, and a note for whatever follows.
"""

import uuid

from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Cast, Concat

from apps.accounts.models import User
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.leases import Reconciled
from apps.promotions.models import Rollout

OF_VERSIONS = ("QUARANTINED", "GUARD", "SATURATED")  # kinds, of no rollout
VERSION_NAME = Concat(
    "model_version__registered_model__name",
    Value("-v"),
    Cast("model_version__number", models.CharField()),
)


class EpisodeQuerySet(models.QuerySet["Episode"]):
    """Episodes, newest first."""

    def open(self) -> "EpisodeQuerySet":
        """Return those that are not over."""
        return self.filter(status=Episode.Status.OPEN)

    def visible_to(self, user: User) -> "EpisodeQuerySet":
        """Return the episodes a person may see: everybody with a role sees what serves and why."""
        return self if user.roles else self.none()

    def with_version_name(self) -> "EpisodeQuerySet":
        """Return the episodes to be searched by version_name: `<model>-v<number>`."""
        return self.alias(version_name=VERSION_NAME)


class Episode(Reconciled):
    """One thing that went wrong with one rollout, with a version itself, or with a model. rollout:
    None of the last two; registered_model: of the last alone, whose model_version is the one that
    served when it began. words: what is wrong, as last seen. is_page: people were paged for it.

    quiet_since: since when nothing of it was seen; it is over when that lasts. reason, message: why
    ServiceNow could not be told, and what to do; "" where all is well.
    """

    class Kind(models.TextChoices):
        """What went wrong."""

        DRIFT = "DRIFT", "Not what was approved"
        ROLLOUT_FAILED = "ROLLOUT_FAILED", "Rollout failed"
        QUARANTINED = "QUARANTINED", "Version not to be trusted"
        GUARD = "GUARD", "Calls blocked by the guard"
        BURN = "BURN", "Error budget burns"
        SATURATED = "SATURATED", "No room for callers"

    class Status(models.TextChoices):
        """Open until what went wrong is seen to be right again."""

        OPEN = "OPEN", "Open"
        CLOSED = "CLOSED", "Over"

    class Report(models.TextChoices):
        """How its incident in ServiceNow ended for us; "" where that is still to come."""

        RESOLVED = "RESOLVED", "Resolved by the portal"
        LEFT = "LEFT", "Left to the people of ServiceNow"
        NONE = "NONE", "Over before ServiceNow was told"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    rollout = models.ForeignKey(
        Rollout, null=True, blank=True, on_delete=models.PROTECT, related_name="episodes"
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.PROTECT, related_name="episodes"
    )
    registered_model = models.ForeignKey(
        RegisteredModel, null=True, blank=True, on_delete=models.PROTECT, related_name="episodes"
    )
    is_page = models.BooleanField(default=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    words = models.TextField()
    opened_at = models.DateTimeField()
    noted_at = models.DateTimeField()  # the last time that its words changed
    quiet_since = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    correlation_id = models.CharField(max_length=100, unique=True)
    # the incident, as read last; values and words are ServiceNow's own
    sys_id = models.CharField(max_length=32, blank=True, default="")
    number = models.CharField(max_length=40, blank=True, default="")
    state = models.CharField(max_length=16, blank=True, default="")
    state_words = models.CharField(max_length=60, blank=True, default="")
    is_assigned = models.BooleanField(default=False)
    read_at = models.DateTimeField(null=True, blank=True)
    report = models.CharField(max_length=16, choices=Report.choices, blank=True, default="")

    objects = EpisodeQuerySet.as_manager()

    class Meta:
        ordering = ("-opened_at", "-id")
        indexes = (models.Index(fields=("-opened_at", "-id"), name="episode_newest"),)
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "rollout"),
                condition=Q(status="OPEN"),
                name="episode_one_open_of_a_kind",
            ),
            models.UniqueConstraint(
                fields=("kind", "model_version"),
                condition=Q(status="OPEN", kind__in=OF_VERSIONS),
                name="episode_one_open_of_a_version",
            ),
            models.UniqueConstraint(
                fields=("kind", "registered_model"),
                condition=Q(status="OPEN", kind="BURN"),
                name="episode_one_open_of_a_model",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=(*OF_VERSIONS, "BURN"), rollout=None)
                | (~Q(kind__in=(*OF_VERSIONS, "BURN")) & Q(rollout__isnull=False)),
                name="episode_of_a_rollout_or_a_version",
            ),
            models.CheckConstraint(
                condition=Q(kind="BURN", registered_model__isnull=False)
                | (~Q(kind="BURN") & Q(registered_model=None)),
                name="episode_of_a_model_where_its_budget_burns",
            ),
            models.CheckConstraint(
                condition=Q(status="OPEN", closed_at__isnull=True)
                | Q(status="CLOSED", closed_at__isnull=False),
                name="episode_closed_at_when_closed",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.model_version}"


class EpisodeNote(models.Model):
    """What followed after an episode began, for the incident's work notes. number: from 1."""

    episode = models.ForeignKey(Episode, on_delete=models.PROTECT, related_name="notes")
    number = models.PositiveIntegerField()
    noted_at = models.DateTimeField()
    words = models.TextField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("number",)
        constraints = (
            models.UniqueConstraint(fields=("episode", "number"), name="episode_note_once"),
        )

    def __str__(self) -> str:
        return f"note {self.number} of {self.episode_id}"

    @property
    def text(self) -> str:
        """Return it as the journal has it. Its number is how it is found there again."""
        return f"{self.words} ({self.mark})"

    @property
    def mark(self) -> str:
        """Return what tells this note from others in a journal."""
        return f"Quartermaster note {self.number} of {self.episode_id}"
