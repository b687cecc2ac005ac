"""The list of emergencies as a table."""

from datetime import datetime

from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.promotions.emergencies.models import Emergency

Status = Emergency.Status
BADGES = {
    Status.PENDING: Badge("warn", "clock", str(Status.PENDING.label)),
    Status.UPHELD: Badge("ok", "circle-check", str(Status.UPHELD.label)),
    Status.OBJECTED: Badge("bad", "circle-x", str(Status.OBJECTED.label)),
}
OVERDUE = Badge("bad", "triangle-alert", "Review overdue")


def badge_of(emergency: Emergency, now: datetime) -> Badge:
    """Return what came of its review, or that it is overdue."""
    return OVERDUE if emergency.is_overdue(now) else BADGES[Status(emergency.status)]


def emergencies(now: datetime) -> Table:
    """Return the table of emergencies as they stand at a moment."""
    return Table(
        name="emergencies",
        noun=("emergency", "emergencies"),
        columns=(
            Column("version", "Version", "promotion.model_version.name",
                   sort=("promotion__registered_model__name", "promotion__model_version__number"),
                   url=lambda row: row.get_absolute_url(), csv_head="version", place="name"),
            Column("state", "Review", lambda row: badge_of(row, now), kind="badge", sort="status",
                   csv="status", csv_head="status", place="figure", css="nowrap"),
            Column("by", "Rolled forward by", "requested_by.name", sort="requested_by__name",
                   csv="requested_by.username", csv_head="requested_by", css="nowrap"),
            Column("at", "At", "requested_at", kind="time", sort="requested_at",
                   csv_head="requested_at", css="nowrap"),
            Column("due", "Review due", "review_due_at", kind="time", sort="review_due_at",
                   csv_head="review_due_at", css="nowrap"),
            Column("reviewer", "Reviewed by", "decided_by.name", sort="decided_by__name",
                   csv="decided_by.username", csv_head="decided_by", unknown="nobody yet",
                   css="nowrap"),
            Column("statement", "Emergency", "statement", sort=None, csv_head="statement"),
        ),
        search=("promotion__registered_model__name", "requested_by__name"),
        search_words="Model or person",
        order="-at",
        empty=Empty(
            "There was no emergency",
            "A version that was rolled forward in an emergency would stand here, with its "
            "review.",
            icon="circle-check",
        ),
    )  # fmt: skip
