"""The list of calls as a table, and the address of the calls that a figure is made of."""

from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

import django_filters
from django import forms
from django.db.models import QuerySet
from django.urls import reverse, reverse_lazy

from apps.common import periods
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.metering.models import REFUSALS, Outcome, UsageEvent

NONE = "(none)"  # in the address: calls that name no team, no model, no version
BADGES = {
    Outcome.METERED: Badge("ok", "", "Metered"),
    Outcome.UNMETERED: Badge("warn", "", "Unmetered"),
    Outcome.REFUSED: Badge("idle", "", "Refused"),
    Outcome.FAILED: Badge("bad", "", "Failed"),
}
# the days that a date can be and still have one after it
FIRST_DAY, LAST_DAY = date(1, 1, 2), date(9999, 12, 30)


def outcome_badge(call: UsageEvent) -> Badge:
    """Return a call's badge."""
    return BADGES[Outcome(call.outcome)]


class Exactly(django_filters.CharFilter):
    """Calls with exactly this value, or with none. A link sets it, so it is a chip and no field."""

    def __init__(self, field_name: str, label: str) -> None:
        super().__init__(field_name=field_name, label=label, widget=forms.HiddenInput)

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Return the calls with the value."""
        found: QuerySet[Any] = super().filter(qs, value)
        return qs.filter(**{str(self.field_name): ""}) if value == NONE else found


class CallFilters(django_filters.FilterSet):
    """What people narrow the list of calls by. Days are of the one zone: apps/common/periods.py."""

    outcome = django_filters.ChoiceFilter(
        label="Outcome", choices=Outcome.choices, empty_label="Any outcome"
    )
    code = django_filters.ChoiceFilter(
        field_name="response_code",
        label="Refused with",
        choices=[(code, f"{code}: {words}") for code, words in REFUSALS.items()],
        empty_label="Any code",
    )
    since = django_filters.DateFilter(
        label=f"From ({periods.ZONE_NAME})",
        method="since_day",
        widget=forms.DateInput({"type": "date"}),
    )
    until = django_filters.DateFilter(
        label=f"To ({periods.ZONE_NAME})",
        method="until_day",
        widget=forms.DateInput({"type": "date"}),
    )
    team = Exactly("team", "Team")
    cost_center = Exactly("cost_center", "Cost center")
    model = Exactly("model", "Model")
    version = Exactly("version", "Version")

    def since_day(self, rows: QuerySet[UsageEvent], name: str, day: date) -> QuerySet[UsageEvent]:
        """Keep the calls of this day and later."""
        return rows.filter(occurred_at__gte=periods.start_of_day(max(day, FIRST_DAY)))

    def until_day(self, rows: QuerySet[UsageEvent], name: str, day: date) -> QuerySet[UsageEvent]:
        """Keep the calls of this day and before."""
        return rows.filter(occurred_at__lt=periods.end_of_day(min(day, LAST_DAY)))


def calls_url(*, start: datetime, end: datetime, **exactly: str | int) -> str:
    """Return the address of the calls of [start, end), whole days, that have these values.

    exactly: by the names of the filters; an empty one means calls that name none.
    """
    named = {name: value if value != "" else NONE for name, value in exactly.items()}
    days = {"since": periods.day_of(start), "until": periods.last_day(end)}
    return f"{reverse('metering:usage_list')}?{urlencode(days | named)}"


CALLS = Table(
    name="usage",
    noun=("call", "calls"),
    columns=(
        Column("when", "When", "occurred_at", kind="time", sort="occurred_at",
               csv_head="occurred_at", css="nowrap", place="name"),
        Column("outcome", "Outcome", outcome_badge, kind="badge", sort="outcome", csv="outcome",
               csv_head="outcome"),
        Column("code", "Code", "response_code", kind="figure", sort="response_code",
               csv_head="response_code"),
        Column("why", "Why", "why", csv_head="why", unknown="", css="min-w-40"),
        Column("team", "Team", "team", sort="team", csv_head="team", css="nowrap"),
        Column("cost_center", "Cost center", "cost_center", sort="cost_center",
               csv_head="cost_center", css="nowrap", optional=True, at_first=False),
        Column("model", "Model", "model", sort="model", csv_head="model", css="nowrap"),
        Column("version", "Version", "version", sort="version", csv_head="version", css="nowrap",
               template="metering/_version.html"),
        Column("input", "Tokens in", "input_tokens", kind="figure", sort="input_tokens",
               total="input_tokens", csv_head="input_tokens"),
        Column("cached", "Cached", "cached_input_tokens", kind="figure",
               sort="cached_input_tokens", total="cached_input_tokens",
               csv_head="cached_input_tokens", optional=True),
        Column("output", "Tokens out", "output_tokens", kind="figure", sort="output_tokens",
               total="output_tokens", csv_head="output_tokens", place="figure"),
        Column("first", "First token", "ttft_ms", kind="figure", unit="ms", sort="ttft_ms",
               template="metering/_ms.html", csv_head="ttft_ms", optional=True),
        Column("took", "Took", "duration_ms", kind="figure", unit="ms", sort="duration_ms",
               template="metering/_ms.html", csv_head="duration_ms", optional=True, at_first=False),
        Column("via", "Came by", "get_received_via_display", csv="received_via",
               csv_head="received_via", optional=True, at_first=False),
        Column("id", "Request id", "event_id", template="metering/_id.html", csv_head="event_id"),
    ),
    search=("event_id", "team", "model", "version", "cost_center"),
    search_words="Request id, team, model, version or cost center",
    filters=CallFilters,
    order="-when",
    empty=Empty(
        "No calls yet",
        "Calls through the gateway appear here within seconds.",
        "Open the catalog",
        reverse_lazy("catalog:model_list"),
    ),
)  # fmt: skip
