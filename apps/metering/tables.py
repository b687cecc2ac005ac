"""The list of calls and the usage of a model as tables, and the address of the calls that a figure
is made of.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import django_filters
from django import forms
from django.db.models import QuerySet
from django.urls import reverse, reverse_lazy

from apps.common import periods
from apps.common.badges import Badge
from apps.common.filters import Filters, SinceDay, UntilDay
from apps.common.simulated import Simulated
from apps.common.tables.columns import Column, Empty, Table
from apps.fleet.simulated import stand_in_versions
from apps.metering.gate.counts import Basis
from apps.metering.models import REFUSALS, Completeness, Operation, Outcome, UsageEvent

NONE = "(none)"  # in the address: calls that name no team, no model, no version
BADGES = {
    Outcome.METERED: Badge("ok", "", "Metered"),
    Outcome.UNMETERED: Badge("warn", "", "Unmetered"),
    Outcome.REFUSED: Badge("idle", "", "Refused"),
    Outcome.FAILED: Badge("bad", "", "Failed"),
}


def outcome_badge(call: UsageEvent) -> Badge:
    """Return a call's badge."""
    return BADGES[Outcome(call.outcome)]


def _completeness(call: UsageEvent) -> str:
    """Return how much of a call is known. Django makes no such words for a generated column."""
    return str(Completeness(call.completeness).label)


def _marked(calls: Sequence[Any]) -> Sequence[Any]:
    """Return the calls, each with whether the stand-in answered it; one query."""
    played = stand_in_versions({call.version for call in calls})
    for call in calls:
        call.simulated = Simulated(engine=call.version in played)
    return calls


class Exactly(django_filters.CharFilter):
    """Calls with exactly this value, or with none. A link sets it, so it is a chip and no field."""

    def __init__(self, field_name: str, label: str) -> None:
        super().__init__(field_name=field_name, label=label, widget=forms.HiddenInput)

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Return the calls with the value."""
        found: QuerySet[Any] = super().filter(qs, value)
        return qs.filter(**{str(self.field_name): ""}) if value == NONE else found


class CallFilters(Filters):
    """What people narrow the list of calls by."""

    outcome = django_filters.ChoiceFilter(
        label="Outcome", choices=Outcome.choices, empty_label="Any outcome"
    )
    completeness = django_filters.ChoiceFilter(
        label="Completeness", choices=Completeness.choices, empty_label="Complete or not"
    )
    basis = django_filters.ChoiceFilter(
        label="Rests on",
        choices=[*Basis.choices, (NONE, "No gate told")],
        empty_label="Any basis",
        method="of_basis",
    )
    operation = django_filters.ChoiceFilter(
        label="Kind",
        choices=[*Operation.choices, (NONE, "Not told")],
        empty_label="Any kind",
        method="of_kind",
    )
    code = django_filters.ChoiceFilter(
        field_name="response_code",
        label="Refused with",
        choices=[(code, f"{code}: {words}") for code, words in REFUSALS.items()],
        empty_label="Any code",
    )
    since = SinceDay("occurred_at", "From")
    until = UntilDay("occurred_at", "To")
    team = Exactly("team", "Team")
    cost_center = Exactly("cost_center", "Cost center")
    model = Exactly("model", "Model")
    version = Exactly("version", "Version")

    def of_basis(self, calls: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Return the calls whose figures rest on this, or those of which no gate told."""
        return calls.filter(basis="" if value == NONE else value)

    def of_kind(self, calls: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Return the calls of a kind, or those that do not tell theirs."""
        return calls.filter(operation="" if value == NONE else value)


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
        Column("completeness", "Completeness", _completeness, sort="completeness",
               csv="completeness", csv_head="completeness", optional=True, at_first=False,
               css="nowrap"),
        Column("basis", "Rests on", lambda call: call.get_basis_display() or None, sort="basis",
               csv="basis", csv_head="basis", optional=True, at_first=False, css="nowrap",
               unknown="no gate told"),
        Column("operation", "Kind", lambda call: call.get_operation_display() or None,
               sort="operation", csv="operation", csv_head="operation", optional=True,
               at_first=False, css="nowrap", unknown="not told"),
        Column("code", "Code", "response_code", kind="figure", sort="response_code",
               csv_head="response_code"),
        Column("why", "Why", "why", csv_head="why", unknown="", css="min-w-28"),
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
        Column("estimated_input", "Tokens in, estimated", "estimated_input_tokens", kind="figure",
               sort="estimated_input_tokens", total="estimated_input_tokens",
               csv_head="estimated_input_tokens", optional=True, at_first=False),
        Column("estimated_output", "Tokens out, estimated", "estimated_output_tokens",
               kind="figure", sort="estimated_output_tokens", total="estimated_output_tokens",
               csv_head="estimated_output_tokens", optional=True, at_first=False),
        Column("first", "First token", "ttft_ms", kind="figure", unit="ms", sort="ttft_ms",
               template="metering/_ms.html", csv_head="ttft_ms", optional=True),
        Column("took", "Took", "duration_ms", kind="figure", unit="ms", sort="duration_ms",
               template="metering/_ms.html", csv_head="duration_ms", optional=True, at_first=False),
        Column("person", "Person", kind="mono", csv_head="person", unknown="not named",
               optional=True, at_first=False),
        Column("via", "Came by", "get_received_via_display", csv="received_via",
               csv_head="received_via", optional=True, at_first=False),
        Column("id", "Request id", "event_id", template="metering/_id.html", csv_head="event_id"),
    ),
    search=("event_id", "team", "model", "version", "cost_center"),
    search_words="Request id, team, model, version or cost center",
    filters=CallFilters,
    most=10_000,
    order="-when",
    empty=Empty(
        "No calls yet",
        "Calls through the gateway appear here within seconds.",
        "Open the catalog",
        reverse_lazy("catalog:model_list"),
    ),
    with_facts=_marked,
)  # fmt: skip


def model_table(model: str, more: Sequence[Column] = ()) -> Table:
    """Return the table of who used a model: its rows are queries.model_lines. more: columns that
    another app adds.
    """

    def count(key: str, label: str, **more: Any) -> Column:
        return Column(key, label, kind="figure", sort=key, total=key, csv_head=key, **more)

    return Table(
        name="model-usage",
        noun=("line", "lines"),
        columns=(
            Column("team", "Team", sort=("team", "version"), csv_head="team", css="nowrap",
                   place="name", unknown="no team"),
            Column("version", "Version", sort=("version", "team"), csv_head="version",
                   css="nowrap", template="metering/_version.html"),
            count("metered_calls", "Metered calls"),
            count("unmetered_calls", "Unmetered"),
            count("refused_calls", "Refused"),
            count("failed_calls", "Failed"),
            count("input_tokens", "Tokens in"),
            Column("output_tokens", "Tokens out", kind="figure", sort=("output_tokens", "-team"),
                   total="output_tokens", csv_head="output_tokens", place="figure"),
            *more,
        ),
        search=("team", "version"),
        search_words="Team or version",
        order="-output_tokens",
        empty=Empty(
            "No calls in the last 30 days",
            "The first call appears here within seconds.",
            "Try it in the playground",
            reverse("gateway:playground", args=[model]),
        ),
    )  # fmt: skip
