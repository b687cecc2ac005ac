"""The lists of access as tables, and the badges of requests and grants. Declarations only."""

from datetime import datetime

from django.urls import reverse_lazy

from apps.access.filters import RequestFilters
from apps.access.models import AccessRequest, Grant
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table

Status = AccessRequest.Status
BADGES = {
    Status.PENDING: Badge("warn", "clock", "Waiting for the owner"),
    Status.APPROVED: Badge("ok", "", "Approved"),
    Status.REJECTED: Badge("bad", "", "Rejected"),
    Status.WITHDRAWN: Badge("idle", "", "Withdrawn"),
}


def request_badge(request: AccessRequest) -> Badge:
    """Return a request's badge."""
    return BADGES[Status(request.status)]


def grant_badge(grant: Grant, at: datetime) -> Badge:
    """Return whether a grant is in force at a moment; one that somebody ended says why."""
    if grant.is_active(at):
        return Badge("ok", "", "Active")
    return Badge("idle", "", "Ended", title=grant.revoke_reason)


REQUESTS = Table(
    name="requests",
    noun=("request", "requests"),
    columns=(
        Column(
            "model",
            "Model",
            "registered_model.name",
            sort="registered_model__name",
            url=AccessRequest.get_absolute_url,
            place="name",
        ),
        Column("team", "Team", "team.slug", sort="team__slug", css="nowrap"),
        Column("state", "State", request_badge, kind="badge", sort="status"),
        Column(
            "tokens",
            "Tokens",
            "tokens_per_minute",
            kind="figure",
            unit="a minute",
            sort="tokens_per_minute",
        ),
        Column(
            "class",
            "Class",
            "get_service_class_display",
            sort="service_class",
            css="nowrap",
            optional=True,
        ),
        Column(
            "at-once",
            "Calls at once",
            "calls_at_once",
            kind="figure",
            sort="calls_at_once",
            unknown="any number",
            optional=True,
            at_first=False,
        ),
        Column(
            "budget",
            "Budget",
            "monthly_budget_usd",
            kind="money",
            unit="a month",
            sort="monthly_budget_usd",
            place="figure",
        ),
        Column(
            "data",
            "Most sensitive data",
            "get_data_class_display",
            sort="data_class",
            optional=True,
            at_first=False,
        ),
        Column("by", "Asked by", "requested_by.name", sort="requested_by__name", css="nowrap"),
        Column("asked", "Asked", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column(
            "decided",
            "Decided",
            "decided_at",
            kind="time",
            sort="decided_at",
            unknown="not yet",
            optional=True,
            at_first=False,
        ),
    ),
    search=("registered_model__name", "team__slug"),
    search_words="Model or team",
    filters=RequestFilters,
    order="-asked",
    empty=Empty(
        "No requests yet",
        "Team leads ask for a model from its page in the catalog.",
        "Open the catalog",
        reverse_lazy("catalog:model_list"),
    ),
)
