"""Policies as rows: what is in force for an environment's models of a data class, and the changes
that two people make to it.

A revision never changes. The first of each data class is what the portal's settings say, written
down when something first rests on it; every later one needs an approved change that says the very
same (a trigger holds that).
"""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.asked import Asked, AskedQuerySet
from apps.accounts.models import User
from apps.accounts.roles import DECIDES_POLICIES, OVERSEES_POLICIES
from apps.catalog.models import DataClass
from apps.common import decisions
from apps.common.rulings import Revision, of_a_change
from apps.promotions.policy.rules import Rules


class PolicyChangeQuerySet(AskedQuerySet["PolicyChange"]):
    """Changes of policies, newest first."""

    def visible_to(self, user: User) -> "PolicyChangeQuerySet":
        """Return the changes a person may see: all, for those who ask, decide or oversee; others
        see what is in force.
        """
        return self if user.has_role(*OVERSEES_POLICIES) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["PolicyChange"]:
        """Return the changes that wait for this person."""
        is_decider = user.has_role(*DECIDES_POLICIES)
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by")


class PolicyChange(Asked):
    """Rules that one person proposes for a data class, and another puts in force or not.

    body: as Rules.as_json. before: the rules that were in force when it was proposed.
    """

    environment = models.CharField(max_length=60)
    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    body = models.JSONField()
    before = models.ForeignKey(
        "promotions.PolicyRevision", on_delete=models.PROTECT, related_name="+"
    )

    objects = PolicyChangeQuerySet.as_manager()

    class Meta(Asked.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "data_class"),
                condition=Q(status="PENDING"),
                name="policy_change_one_pending_per_data_class",
            ),
            *decisions.two_people("policy_change"),
        )

    def __str__(self) -> str:
        return f"promotion policy of {self.get_data_class_display()}"

    def get_absolute_url(self) -> str:
        """Return the change's page."""
        return reverse("promotions:policy_change_detail", args=[self.pk])

    @property
    def rules(self) -> Rules:
        """Return the rules that it proposes."""
        return Rules.of(self.body)


class PolicyRevision(Revision):
    """The rules of a data class from a moment on. body: as Rules.as_json; digest: over it.

    number counts within an environment and data class. change: what put it in force; NULL for the
    first, which is what the settings said.
    """

    environment = models.CharField(max_length=60)
    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    change = models.OneToOneField(
        PolicyChange, null=True, blank=True, on_delete=models.PROTECT, related_name="revision"
    )

    class Meta:
        ordering = ("environment", "data_class", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "data_class", "number"), name="policy_revision_number_once"
            ),
            of_a_change("policy_revision"),
        )

    def __str__(self) -> str:
        return f"policy {self.number} of {self.get_data_class_display()}"

    @property
    def rules(self) -> Rules:
        """Return the rules."""
        return Rules.of(self.body)
