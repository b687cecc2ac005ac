"""The records in quarantine as a table, and their badges. Declarations only."""

import django_filters

from apps.common.badges import Badge
from apps.common.filters import Filters, SinceDay, UntilDay
from apps.common.tables.columns import Column, Empty, Table
from apps.metering.quarantine.models import Doubt, QuarantinedRecord

Status = QuarantinedRecord.Status
BADGES = {
    Status.WAITING: Badge("warn", "", "Waiting"),
    Status.REPLAYED: Badge("ok", "", "Counted later"),
    Status.LEFT_OUT: Badge("idle", "", "Left out"),
}


def record_badge(item: QuarantinedRecord) -> Badge:
    """Return what became of a record."""
    return BADGES[Status(item.status)]


class QuarantineFilters(Filters):
    """What the list is narrowed by."""

    status = django_filters.ChoiceFilter(
        label="State", choices=Status.choices, empty_label="Any state"
    )
    doubt = django_filters.ChoiceFilter(
        label="Reason", choices=Doubt.choices, empty_label="Any reason"
    )
    since = SinceDay("received_at", "From")
    until = UntilDay("received_at", "To")


QUARANTINE = Table(
    name="quarantine",
    noun=("record", "records"),
    columns=(
        Column("received", "Received", "received_at", kind="time", sort="received_at",
               csv_head="received_at", url=lambda item: item.get_absolute_url(), place="name",
               css="nowrap"),
        Column("state", "State", record_badge, kind="badge", sort="status", csv="status",
               csv_head="status", place="figure"),
        Column("doubt", "Reason", "get_doubt_display", sort="doubt", csv="doubt",
               csv_head="reason", css="nowrap"),
        Column("detail", "What is wrong", "detail", csv_head="detail", css="min-w-48"),
        Column("began", "Call began", "occurred_at", kind="time", sort="occurred_at",
               csv_head="occurred_at", unknown="not told", css="nowrap"),
        Column("team", "Team", "team", sort="team", csv_head="team", unknown="none named",
               css="nowrap"),
        Column("model", "Model", "model", sort="model", csv_head="model", unknown="none named",
               css="nowrap"),
        Column("via", "Came by", "get_received_via_display", csv="received_via",
               csv_head="received_via", optional=True, at_first=False),
        Column("id", "Record", lambda item: str(item.pk)[-8:], kind="mono", csv="pk",
               csv_head="id", optional=True, at_first=False),
    ),
    search=("event_id", "team", "model", "detail"),
    search_words="Request id, team, model or what is wrong",
    filters=QuarantineFilters,
    order="-received",
    empty=Empty(
        "Nothing in quarantine",
        "Every record of the gateway that arrived could be read, and was counted.",
    ),
)  # fmt: skip
