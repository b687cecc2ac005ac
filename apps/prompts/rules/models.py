"""Retention as rows: what is in force for each data class, and the changes that two people make.

A revision never changes. The first of each data class ships with the product and is written down
when something first rests on it; every later one needs an approved change that says the very same
(a trigger holds that).
"""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.asked import Asked, AskedQuerySet
from apps.accounts.models import User
from apps.accounts.roles import DECIDES_PROMPTS, OVERSEES_PROMPTS
from apps.catalog.models import DataClass
from apps.common import decisions
from apps.common.rulings import Revision, of_a_change
from apps.prompts.rules.rules import Rules


class RetentionChangeQuerySet(AskedQuerySet["RetentionChange"]):
    """Changes of what is kept, newest first."""

    def visible_to(self, user: User) -> "RetentionChangeQuerySet":
        """Return the changes a person may see: all, for those who ask, decide or oversee."""
        return self if user.has_role(*OVERSEES_PROMPTS) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["RetentionChange"]:
        """Return the changes that wait for this person."""
        is_decider = user.has_role(*DECIDES_PROMPTS)
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by")


class RetentionChange(Asked):
    """Rules that one person proposes for a data class, and another puts in force or not.

    body: as Rules.as_json. before: the rules that were in force when it was proposed.
    """

    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    body = models.JSONField()
    before = models.ForeignKey(
        "prompts.RetentionRevision", on_delete=models.PROTECT, related_name="+"
    )

    objects = RetentionChangeQuerySet.as_manager()

    class Meta(Asked.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("data_class",),
                condition=Q(status="PENDING"),
                name="retention_change_one_pending_per_data_class",
            ),
            *decisions.two_people("retention_change"),
        )

    def __str__(self) -> str:
        return f"prompt retention of {self.get_data_class_display()}"

    def get_absolute_url(self) -> str:
        """Return the change's page."""
        return reverse("prompts:retention_change_detail", args=[self.pk])

    @property
    def rules(self) -> Rules:
        """Return the rules that it proposes."""
        return Rules.of(self.body)


class RetentionRevision(Revision):
    """The rules of a data class from a moment on. body: as Rules.as_json; digest: over it. change:
    what put it in force; NULL for the first, which ships with the product.
    """

    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    change = models.OneToOneField(
        RetentionChange, null=True, blank=True, on_delete=models.PROTECT, related_name="revision"
    )

    class Meta:
        ordering = ("data_class", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("data_class", "number"), name="retention_revision_number_once"
            ),
            of_a_change("retention_revision"),
        )

    def __str__(self) -> str:
        return f"prompt retention {self.number} of {self.get_data_class_display()}"

    @property
    def rules(self) -> Rules:
        """Return the rules."""
        return Rules.of(self.body)
