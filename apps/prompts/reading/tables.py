"""The index of prompts as a table, for those who may read. Declarations only: no column has text
that a caller sent.
"""

from uuid import UUID

import django_filters
from django.db.models import Q, QuerySet

from apps.common.filters import Before, Filters, Since, SinceDay, UntilDay
from apps.common.tables.columns import Column, Empty, Table
from apps.prompts.models import Outcome, Place, PromptRecord, PromptRecordQuerySet
from apps.prompts.subjects import SubjectKind
from apps.prompts.words import OUTCOMES, PLACES


class RecordFilters(Filters):
    """What the index is narrowed by."""

    team = django_filters.CharFilter(label="Team", max_length=63)
    model = django_filters.CharFilter(label="Model", max_length=63)
    outcome = django_filters.ChoiceFilter(
        label="Outcome", choices=Outcome.choices, empty_label="Any outcome"
    )
    rule = django_filters.CharFilter(
        label="Rule that found something", max_length=63, method="by_rule"
    )
    place = django_filters.ChoiceFilter(
        label="Place", choices=Place.choices, empty_label="Any place"
    )
    whose = django_filters.ChoiceFilter(
        label="Key of", field_name="data_key__kind", choices=SubjectKind.choices,
        empty_label="Any key",
    )  # fmt: skip

    def by_rule(
        self, rows: QuerySet[PromptRecord], name: str, value: str
    ) -> QuerySet[PromptRecord]:
        """Return the records in which a rule of the guard found something."""
        return rows.filter(rules_hit__contains=[value])


RecordFilters.base_filters["from"] = SinceDay("at", "From")
RecordFilters.base_filters["to"] = UntilDay("at", "To")


class RecordQuery(RecordFilters):
    """For programs: the same, by moments, and by the request id."""

    call = django_filters.UUIDFilter(field_name="call_id")
    since = Since("at")
    before = Before("at")


RECORDS = Table(
    name="prompts",
    noun=("call", "calls"),
    columns=(
        Column("call", "Call", lambda row: str(row.call_id)[:8], kind="mono", place="name",
               url=PromptRecord.get_absolute_url, title="call_id", csv="call_id", css="nowrap"),
        Column("at", "When", kind="time", sort="at", css="nowrap"),
        Column("team", "Team", sort="team", css="nowrap"),
        Column("model", "Model", sort="model", css="nowrap"),
        Column("outcome", "Outcome", lambda row: OUTCOMES[Outcome(row.outcome)], kind="badge",
               csv="outcome", place="figure"),
        Column("refused_by", "Refused by", unknown="nothing"),
        Column("rules", "Rules that found something",
               lambda row: ", ".join(row.rules_hit), unknown="none"),
        Column("whose", "Key of", lambda row: SubjectKind(row.data_key.kind).label),
        Column("place", "Place", lambda row: PLACES[Place(row.place)], kind="badge", csv="place"),
        Column("until", "Kept until", "retained_until", kind="time", sort="retained_until",
               css="nowrap"),
        Column("version", "Version", unknown="not metered yet", optional=True, at_first=False),
        Column("request", "Request", "request_bytes", kind="figure", unit="bytes",
               sort="request_bytes", unknown="not kept", optional=True, at_first=False),
        Column("answer", "Answer", "answer_bytes", kind="figure", unit="bytes",
               sort="answer_bytes", unknown="not kept", optional=True, at_first=False),
        Column("cost_center", "Cost center", optional=True, at_first=False),
        Column("person", "Person", kind="mono", optional=True, at_first=False),
        Column("operation", "Operation", "get_operation_display", optional=True, at_first=False),
        Column("data_class", "Data class", "get_data_class_display", optional=True,
               at_first=False),
        Column("id", "Record", lambda row: str(row.pk), kind="mono", optional=True,
               at_first=False),
    ),
    search=("call_id__iexact", "id__iexact", "person__iexact"),
    search_words="Request id or person’s id",
    filters=RecordFilters,
    order="-at",
    most=10_000,
    empty=Empty("No calls are kept", "They stand here once the gate has kept some.",
                icon="scroll-text"),
)  # fmt: skip


def by_id(rows: PromptRecordQuerySet, text: str) -> PromptRecordQuerySet:
    """Return the records that an id in the search box names; all, where it holds none.

    The table's own search compares ids as text, which no index serves: over millions of records it
    would read each.
    """
    try:
        wanted = UUID(text.strip())
    except ValueError:
        return rows
    return rows.filter(Q(call_id=wanted) | Q(pk=wanted))
