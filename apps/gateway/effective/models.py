"""What the gateway really does, as it was read back: from the cluster's objects, and from Envoy's
own configuration. Observations only: nothing here asks for anything.
"""

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import RegisteredModel

SETTLES_WITHIN = timedelta(minutes=2)  # a change arrives in Git, the cluster and Envoy by then


class GatewayLook(models.Model):
    """The last look at the whole gateway; one row. cluster_read_at, envoy_read_at: when each was
    read last; problem: why it could not be now, "" where it was. gate: what became of the policy
    that puts the gate in front of every call, a StrEnum of compare.Standing.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    looked_at = models.DateTimeField()
    cluster_read_at = models.DateTimeField(null=True, blank=True)
    cluster_problem = models.TextField(blank=True, default="")
    envoy_read_at = models.DateTimeField(null=True, blank=True)
    envoy_problem = models.TextField(blank=True, default="")
    gate = models.CharField(max_length=8, blank=True, default="")
    gate_says = models.TextField(blank=True, default="")

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(pk=1), name="gateway_look_is_one"),)

    def __str__(self) -> str:
        return f"look at {self.looked_at:%Y-%m-%d %H:%M}"


class RouteReading(models.Model):
    """What was read of one model's objects (compare.Cluster) and of Envoy's configuration of it
    (compare.Envoy) as JSON; None where it was never read.
    """

    registered_model = models.OneToOneField(
        RegisteredModel, on_delete=models.CASCADE, related_name="route_reading"
    )
    cluster = models.JSONField(null=True, blank=True)
    envoy = models.JSONField(null=True, blank=True)

    def __str__(self) -> str:
        return f"route of {self.registered_model}"

    def limit_of(self, team: str) -> Any:
        """Return a team's tokens per minute as the cluster has them; None where it has none, or was
        not read.
        """
        return ((self.cluster or {}).get("limits") or {}).get(team)


class DriftQuerySet(models.QuerySet["GatewayDrift"]):
    """Differences, newest first."""

    def present(self) -> "DriftQuerySet":
        """Return those that were there at the last look."""
        return self.filter(ended_at__isnull=True)

    def visible_to(self, user: User) -> "DriftQuerySet":
        """Return every difference for those who oversee, nothing for others: it names teams."""
        return self if user.has_role(*SEES_EVERY_TEAM) else self.none()


class GatewayDrift(models.Model):
    """Something that the gateway does otherwise than the portal says, since when, and until when.

    subject: the team or version that it is about, "" for the object as a whole.
    """

    class Place(models.TextChoices):
        """Where it was seen."""

        CLUSTER = "CLUSTER", "Cluster"
        ENVOY = "ENVOY", "Envoy"

    class What(models.TextChoices):
        """What differs."""

        ROUTE = "ROUTE", "Route"
        WEIGHTS = "WEIGHTS", "Weights"
        ACCESS = "ACCESS", "Who may call"
        LIMIT = "LIMIT", "Tokens per minute"

    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.CASCADE, related_name="gateway_drifts"
    )
    place = models.CharField(max_length=8, choices=Place.choices)
    what = models.CharField(max_length=8, choices=What.choices)
    subject = models.CharField(max_length=63, blank=True, default="")
    declared = models.CharField(max_length=300)
    found = models.CharField(max_length=300)
    since = models.DateTimeField()
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = DriftQuerySet.as_manager()

    class Meta:
        ordering = ("-since", "-pk")
        indexes = (models.Index(fields=("-since", "-id"), name="gateway_drift_newest"),)
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model", "place", "what", "subject"),
                condition=Q(ended_at__isnull=True),
                name="gateway_drift_once_while_it_lasts",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_what_display()} of {self.registered_model} in {self.place}"

    def get_absolute_url(self) -> str:
        """Return the address of what differs of its model."""
        return f"{reverse('gateway:drift')}?q={self.registered_model.name}"
