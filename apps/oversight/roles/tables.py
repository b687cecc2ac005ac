"""The roles that are looked at again, as a table; and how each stands, in words."""

from datetime import datetime

import django_filters
from django.urls import reverse
from django.utils.timezone import now

from apps.accounts.models import Role
from apps.accounts.recertification.models import RoleReview, RoleReviewQuerySet
from apps.common.badges import Badge
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table

Status = RoleReview.Status
DONE = {
    Status.KEPT: Badge("ok", "", "Kept"),
    Status.TAKEN: Badge("bad", "", "Taken away"),
    Status.LAPSED: Badge("idle", "", "No longer needed"),
}


def badge(review: RoleReview, at: datetime | None = None) -> Badge:
    """Return how a look stands. at: the moment, the present one if left out."""
    if review.status != Status.PENDING:
        return DONE[Status(review.status)]
    if review.due_at <= (at or now()):
        return Badge("bad", "", "Overdue")
    return Badge("warn", "clock", "Due")


def page_of(review: RoleReview) -> str:
    """Return where the role is kept or taken away."""
    return reverse("oversight:role_review", args=[review.pk])


class ReviewFilters(Filters):
    """What the looks are narrowed by."""

    due = django_filters.ChoiceFilter(
        label="Due",
        choices=[("overdue", "Overdue"), ("soon", "Due soon")],
        method="by_due",
        empty_label="Any time",
    )
    status = django_filters.ChoiceFilter(
        label="State", choices=Status.choices, empty_label="Any state"
    )
    role = django_filters.ChoiceFilter(label="Role", choices=Role.choices, empty_label="Any role")

    def by_due(self, rows: RoleReviewQuerySet, name: str, value: str) -> RoleReviewQuerySet:
        """Return the looks that wait, and are overdue or not yet."""
        moment = now()
        return rows.overdue(moment) if value == "overdue" else rows.due_after(moment)


REVIEWS = Table(
    name="role_reviews",
    noun=("role", "roles"),
    columns=(
        Column("person", "Person", "requested_by.name", sort="requested_by__name", url=page_of,
               sub="requested_by.username", place="name", css="nowrap", csv_head="name"),
        Column("account", "Account", "requested_by.username", kind="mono", csv_head="username",
               optional=True, at_first=False),
        Column("role", "Role", "get_role_display", sort="role", csv="role", css="nowrap"),
        Column("state", "State", badge, kind="badge", csv="status", place="figure"),
        Column("due", "Look at it by", "due_at", kind="time", sort="due_at", csv_head="due_at",
               css="nowrap"),
        Column("by", "Looked at by", "decided_by.name", csv="decided_by.username",
               csv_head="decided_by", unknown="nobody yet", css="nowrap"),
        Column("at", "When", "decided_at", kind="time", sort="decided_at", csv_head="decided_at",
               unknown="not yet", css="nowrap"),
        Column("why", "Why", "decision_reason", csv_head="reason", css="wide muted"),
        Column("seen", "Last signed in", "requested_by.last_login", kind="time",
               csv_head="last_login", unknown="never", optional=True, css="nowrap"),
    ),
    search=("requested_by__name", "requested_by__username"),
    search_words="Name or account",
    filters=ReviewFilters,
    order="due",
    empty=Empty("No role is due",
                "Each role stands here from two weeks before somebody is to look at it again.",
                icon="users"),
)  # fmt: skip
