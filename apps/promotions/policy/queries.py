"""Which rules are in force. The first ones are what the portal's settings say."""

from datetime import datetime

from django.conf import settings

from apps.catalog.models import DataClass, RegisteredModel
from apps.common import rulings
from apps.promotions.policy.models import PolicyRevision
from apps.promotions.policy.rules import LOCAL, Rules

Ruling = rulings.Ruling[Rules, PolicyRevision]


def first_rules() -> Rules:
    """Return the rules of a first revision: what the settings say. Outside the local stack the
    evaluation must come from a real engine.
    """
    return Rules(
        steps=tuple(settings.ROLLOUT_STEPS),
        hold_seconds=settings.ROLLOUT_HOLD_SECONDS,
        minimum_calls=settings.ROLLOUT_MINIMUM_CALLS,
        real_engine_required=settings.ENVIRONMENT_NAME != LOCAL,
        emergency_review_hours=settings.EMERGENCY_REVIEW_HOURS,
    )


def rules_for(model: RegisteredModel, at: datetime) -> Ruling:
    """Return the rules for a model's promotions at a moment. One query."""
    return rules_of(model.data_class, at)


def rules_of(data_class: str, at: datetime) -> Ruling:
    """Return the rules of a data class at a moment. One query."""
    rows = PolicyRevision.objects.filter(
        environment=settings.ENVIRONMENT_NAME, data_class=data_class, active_from__lte=at
    )
    found = rows.order_by("-number").first()
    return Ruling(found.rules, found) if found else Ruling(first_rules(), None)


def in_force(at: datetime) -> dict[str, Ruling]:
    """Return data class → its rules at a moment, in the classes' order. One query."""
    rows = PolicyRevision.objects.filter(
        environment=settings.ENVIRONMENT_NAME, active_from__lte=at
    ).order_by("number")
    newest = {row.data_class: Ruling(row.rules, row) for row in rows}
    return {str(one): newest.get(one) or Ruling(first_rules(), None) for one in DataClass.values}


def revisions_of(data_class: str) -> list[PolicyRevision]:
    """Return the revisions of a data class with their changes and people, newest first."""
    rows = PolicyRevision.objects.filter(
        environment=settings.ENVIRONMENT_NAME, data_class=data_class
    )
    return list(
        rows.select_related("change__requested_by", "change__decided_by").order_by("-number")
    )
