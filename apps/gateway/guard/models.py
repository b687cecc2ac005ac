"""Guard rules as rows (what is in force in an environment, and the changes that two people make to
it), and what the rules found.

A revision never changes. The first is the set that ships, written down when something first rests
on it; every later one needs an approved change that says the very same (a trigger holds that). A
hit says which rule found what kind of thing where, and never a word of it.
"""

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.asked import Asked, AskedQuerySet
from apps.accounts.models import User
from apps.accounts.roles import (
    DECIDES_GUARDRAILS,
    JUDGES_HITS,
    OVERSEES_GUARDRAILS,
    USES_MODELS,
)
from apps.common import decisions
from apps.common.ids import ordered_id
from apps.common.rulings import Revision, of_a_change
from apps.gateway.gate.steps import Does
from apps.gateway.guard.rules import Phase, RuleSet

NOT_INSPECTED = "NOT_INSPECTED"  # the detector of what a rule could not look at


class GuardrailChangeQuerySet(AskedQuerySet["GuardrailChange"]):
    """Changes of the rules, newest first."""

    def visible_to(self, user: User) -> "GuardrailChangeQuerySet":
        """Return the changes a person may see: all, for those who ask, decide or oversee; others
        see what is in force.
        """
        return self if user.has_role(*OVERSEES_GUARDRAILS) else self.none()

    def to_decide(self, user: User) -> models.QuerySet["GuardrailChange"]:
        """Return the changes that wait for this person."""
        is_decider = user.has_role(*DECIDES_GUARDRAILS)
        found = decisions.waiting_for(self.pending(), user, is_decider=is_decider)
        return found.select_related("requested_by")


class GuardrailChange(Asked):
    """A set of rules that one person proposes, and another puts in force or not.

    body: as RuleSet.as_json. before: the revision that was in force when it was proposed.
    """

    environment = models.CharField(max_length=60)
    body = models.JSONField()
    before = models.ForeignKey(
        "gateway.GuardrailRevision", on_delete=models.PROTECT, related_name="+"
    )

    objects = GuardrailChangeQuerySet.as_manager()

    class Meta(Asked.Meta):
        constraints = (
            models.UniqueConstraint(
                fields=("environment",),
                condition=Q(status="PENDING"),
                name="guardrail_change_one_pending",
            ),
            *decisions.two_people("guardrail_change"),
        )

    def __str__(self) -> str:
        return f"guard rules of {self.environment}"

    def get_absolute_url(self) -> str:
        """Return the change's page."""
        return reverse("gateway:guardrail_change_detail", args=[self.pk])

    @property
    def rules(self) -> RuleSet:
        """Return the rules that it proposes."""
        return RuleSet.of(self.body)


class GuardrailRevision(Revision):
    """The rules of an environment from a moment on. body: as RuleSet.as_json; digest: over it.

    change: what put it in force; NULL for the first, which is the set that ships.
    """

    environment = models.CharField(max_length=60)
    change = models.OneToOneField(
        GuardrailChange, null=True, blank=True, on_delete=models.PROTECT, related_name="revision"
    )

    class Meta:
        ordering = ("environment", "-number")
        constraints = (
            models.UniqueConstraint(
                fields=("environment", "number"), name="guardrail_revision_number_once"
            ),
            of_a_change("guardrail_revision"),
        )

    def __str__(self) -> str:
        return f"guard rules {self.number} of {self.environment}"

    @property
    def rules(self) -> RuleSet:
        """Return the rules."""
        return RuleSet.of(self.body)


class GuardHitQuerySet(models.QuerySet["GuardHit"]):
    """Hits, newest first."""

    def visible_to(self, user: User) -> "GuardHitQuerySet":
        """Return the hits a person may see: all, for those who judge them; those of their own
        team's calls, for people whose team calls models.
        """
        if user.has_role(*JUDGES_HITS):
            return self
        if user.team is None or not user.has_role(*USES_MODELS):
            return self.none()
        return self.filter(team=user.team.slug)

    def since(self, moment: datetime) -> "GuardHitQuerySet":
        """Return the hits from a moment on."""
        return self.filter(at__gte=moment)

    def finds(self) -> "GuardHitQuerySet":
        """Return what a rule found, without what it could not look at."""
        return self.exclude(detector=NOT_INSPECTED)


class GuardHit(models.Model):
    """What one rule found in one half of one call, all finds of a detector together. count: how
    many; where: of the first of them, a place and not a text. team, model: as the call named them.
    rules: the digest of the set in force.

    With the detector NOT_INSPECTED it is what a rule could not look at: then does says whether the
    call was refused (BLOCK) or let through (MONITOR).
    """

    class Mark(models.TextChoices):
        """What a person says of it who looked at the call; "" until somebody does."""

        TRUE = "TRUE", "True"
        FALSE = "FALSE", "False alarm"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    call = models.UUIDField()  # the request id, which is the usage event's
    at = models.DateTimeField()
    phase = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Phase])
    rule = models.CharField(max_length=63)
    provider = models.CharField(max_length=16)
    detector = models.CharField(max_length=63)
    does = models.CharField(max_length=8, choices=[(one.value, one.value) for one in Does])
    where = models.CharField(max_length=200)
    count = models.PositiveIntegerField(default=1)
    team = models.CharField(max_length=63)
    model = models.CharField(max_length=63)
    rules = models.CharField(max_length=71)
    mark = models.CharField(max_length=8, choices=Mark.choices, blank=True, default="")
    marked_by = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    marked_at = models.DateTimeField(null=True, blank=True)

    objects = GuardHitQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        indexes = (
            models.Index(fields=("-at", "-id"), name="guard_hit_newest"),
            models.Index(fields=("rule", "-at"), name="guard_hit_by_rule"),
            models.Index(fields=("team", "-at"), name="guard_hit_by_team"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("call", "phase", "rule", "detector"), name="guard_hit_once"
            ),
            models.CheckConstraint(
                condition=Q(mark="", marked_by=None, marked_at=None)
                | Q(~Q(mark=""), marked_by__isnull=False, marked_at__isnull=False),
                name="guard_hit_marked_by_somebody",
            ),
            models.CheckConstraint(condition=Q(count__gte=1), name="guard_hit_of_one_or_more"),
        )

    def __str__(self) -> str:
        return f"{self.rule}: {self.detector}"

    @property
    def was_not_inspected(self) -> bool:
        """Tell whether it is what the rule could not look at."""
        return self.detector == NOT_INSPECTED
