"""Which rules are in force."""

from datetime import datetime

from apps.catalog.models import DataClass
from apps.common import rulings
from apps.prompts.rules.models import RetentionRevision
from apps.prompts.rules.rules import Mode, Rules

# until two people say otherwise
FIRST = {
    DataClass.PUBLIC: Rules(Mode.BEST_EFFORT.value, 30),
    DataClass.INTERNAL: Rules(Mode.BEST_EFFORT.value, 90),
    DataClass.PHI: Rules(Mode.REQUIRED.value, 365),
}


Ruling = rulings.Ruling[Rules, RetentionRevision]


def rules_of(data_class: str, at: datetime) -> Ruling:
    """Return the rules of a data class at a moment. One query."""
    return in_force(at)[DataClass(data_class)]


def in_force(at: datetime) -> dict[DataClass, Ruling]:
    """Return data class → its rules at a moment, in the classes' order. One query."""
    rows = RetentionRevision.objects.filter(active_from__lte=at).order_by("number")
    newest = {row.data_class: Ruling(row.rules, row) for row in rows}
    return {one: newest.get(one) or Ruling(FIRST[one], None) for one in DataClass}


def revisions_of(data_class: str) -> list[RetentionRevision]:
    """Return the revisions of a data class with their changes and people, newest first."""
    rows = RetentionRevision.objects.filter(data_class=data_class)
    return list(
        rows.select_related("change__requested_by", "change__decided_by").order_by("-number")
    )
