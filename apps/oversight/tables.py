"""The record as a table, for those who oversee. Declarations only."""

import django_filters
from django import forms

from apps.audit import timeline
from apps.audit.models import Action, AuditEvent
from apps.common.filters import Filters, SinceDay, UntilDay
from apps.common.tables.columns import Column, Empty, Table


def actions_by_noun() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return every action as (value, words), grouped by noun, for the filter."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for value, label in Action.choices:
        groups.setdefault(value.split(".")[0].capitalize(), []).append((str(value), str(label)))
    return list(groups.items())


def _exactly(label: str) -> django_filters.CharFilter:
    """Return a filter that links set and chips take away; the toolbar has no field for it."""
    return django_filters.CharFilter(label=label, max_length=200, widget=forms.HiddenInput)


class EventFilters(Filters):
    """What auditors narrow the record by. Both days belong to what is shown."""

    action = django_filters.ChoiceFilter(
        label="Action", choices=actions_by_noun, empty_label="Any action"
    )
    actor = _exactly("Who")
    target_type = _exactly("Kind of target")
    target_id = _exactly("Target")
    request_id = _exactly("Request")


# "from" cannot be an attribute's name.
EventFilters.base_filters["from"] = SinceDay("occurred_at", "From")
EventFilters.base_filters["to"] = UntilDay("occurred_at", "To")

EVENTS = Table(
    name="audit",
    noun=("event", "events"),
    columns=(
        Column("when", "When", "occurred_at", kind="time", sort="occurred_at", css="nowrap"),
        Column(
            "what", "What", "get_action_display", sort="action", place="name", css="nowrap",
            template="oversight/cells/what.html", url=AuditEvent.get_absolute_url,
        ),
        Column("target", "Target", "target_label", sort="target_label", css="nowrap",
               template="oversight/cells/target.html"),
        Column("who", "Who", "actor_name", sort="actor_name", css="nowrap",
               template="oversight/cells/who.html"),
        Column("why", "Why", lambda event: timeline.why(event.data), css="wide muted",
               template="oversight/cells/why.html"),
        Column("code", "Action code", "action", kind="mono", optional=True, at_first=False),
        Column("kind", "Kind of target", "target_type", optional=True, at_first=False),
        Column("id", "Target id", "target_id", kind="mono", optional=True, at_first=False),
        Column("actor", "Account", "actor", kind="mono", optional=True, at_first=False),
        Column("request", "Request", "request_id", kind="mono", optional=True, at_first=False),
        Column("event", "Event", "id", kind="mono", optional=True, at_first=False),
        Column("data", "What was recorded with it", "data", kind="mono", optional=True,
               at_first=False),
    ),
    search=("target_label", "actor_name", "actor", "target_id__iexact", "request_id__iexact"),
    search_words="Person, target, id or request id",
    filters=EventFilters,
    order="-when",
    empty=Empty("No events yet", "The first sign-in writes the first one.", icon="scroll-text"),
)  # fmt: skip
