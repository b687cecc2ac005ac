"""The search of the record, for those who oversee."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet

from apps.audit.models import Action, AuditEvent


@dataclass(frozen=True)
class Search:
    """What an auditor asks for. from_date and to_date are days in UTC, both inclusive."""

    text: str = ""
    actor: str = ""
    action: str = ""
    target_type: str = ""
    target_id: str = ""
    from_date: date | None = None
    to_date: date | None = None


def search(asked: Search) -> QuerySet[AuditEvent]:
    """Return the matching events, newest first."""
    found = AuditEvent.objects.all()
    if asked.text:
        found = found.filter(
            Q(target_label__icontains=asked.text)
            | Q(actor_name__icontains=asked.text)
            | Q(actor__icontains=asked.text)
            | Q(target_id__iexact=asked.text)
            | Q(request_id__iexact=asked.text)
        )
    for field in ("actor", "action", "target_type", "target_id"):
        if value := getattr(asked, field):
            found = found.filter(**{field: value})
    if asked.from_date:
        found = found.filter(occurred_at__gte=datetime.combine(asked.from_date, time.min, UTC))
    if asked.to_date:
        found = found.filter(
            occurred_at__lt=datetime.combine(asked.to_date + timedelta(days=1), time.min, UTC)
        )
    return found


def actions_by_noun() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return every action as (value, words), grouped by noun, for the filter."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for value, label in Action.choices:
        groups.setdefault(value.split(".")[0].capitalize(), []).append((str(value), str(label)))
    return list(groups.items())
