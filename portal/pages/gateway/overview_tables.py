"""Routes, limits and drift as tables. Declarations only."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.urls import reverse, reverse_lazy

from apps.access.models import ServiceClass
from apps.common.filters import Filters
from apps.common.tables.columns import Column, Empty, Table
from apps.gateway.effective.models import GatewayDrift
from apps.gateway.effective.words import drift_badge
from portal.pages.gateway.asking import address_of

Facts = Callable[[Sequence[Any]], Sequence[Any]]
NOT_READ = "not read"


class DiffersFilter(django_filters.ChoiceFilter):
    """Whether the gateway does as declared; of rows that are annotated with `differs`."""

    def __init__(self) -> None:
        choices = (("yes", "Differs"), ("no", "As declared"))
        super().__init__(label="State", choices=choices, empty_label="Any state")

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Return the rows that differ, or the others; all, where nothing is chosen."""
        return qs.filter(differs=value == "yes") if value else qs


class RouteFilters(Filters):
    """For the routes."""

    state = DiffersFilter()


class LimitFilters(Filters):
    """For the limits."""

    service_class = django_filters.ChoiceFilter(
        label="Class", choices=ServiceClass.choices, empty_label="Any class"
    )
    state = DiffersFilter()


class DriftFilters(Filters):
    """For the differences."""

    place = django_filters.ChoiceFilter(
        label="Seen in", choices=GatewayDrift.Place.choices, empty_label="Any place"
    )
    what = django_filters.ChoiceFilter(
        label="What", choices=GatewayDrift.What.choices, empty_label="Anything"
    )


def routes(with_facts: Facts) -> Table:
    """Return the table of the routes: rows are RegisteredModel, shown as RouteLine."""
    return Table(
        name="gateway-routes",
        noun=("route", "routes"),
        columns=(
            Column("model", "Model", "model.name", sort="name", csv_head="model", place="name",
                   url=lambda row: reverse("gateway:policy_detail", args=[row.model.name])),
            Column("state", "State", "state", kind="badge", csv_head="state", place="figure"),
            Column("declared", "Declared", "declared", csv_head="declared"),
            Column("cluster", "In the cluster", "cluster", csv_head="in_cluster",
                   unknown=NOT_READ),
            Column("envoy", "In Envoy", "envoy", csv_head="in_envoy", unknown=NOT_READ),
            Column("classes", "Class rules", "classes", csv_head="class_rules", optional=True,
                   unknown="none"),
            Column("teams", "Teams", "teams", kind="figure", csv_head="teams",
                   url=lambda row: f"{reverse('gateway:limits')}?q={row.model.name}"),
        ),
        search=("name", "title"),
        search_words="Model",
        filters=RouteFilters,
        order="model",
        empty=Empty("No routes yet", "A model has a route once a version of it serves.",
                    "Open the catalog", reverse_lazy("catalog:model_list")),
        with_facts=with_facts,
    )  # fmt: skip


def limits(with_facts: Facts) -> Table:
    """Return the table of the limits: rows are Grant, shown as LimitLine."""
    return Table(
        name="gateway-limits",
        noun=("limit", "limits"),
        columns=(
            Column("team", "Team", "grant.team.slug", sort=("team__slug", "registered_model__name"),
                   csv_head="team", place="name",
                   url=lambda row: reverse("access:grant_detail", args=[row.grant.pk])),
            Column("model", "Model", "grant.registered_model.name",
                   sort=("registered_model__name", "team__slug"), csv_head="model"),
            Column("state", "State", "state", kind="badge", csv_head="state"),
            Column("minute", "Tokens a minute", "grant.tokens_per_minute", kind="figure",
                   sort="tokens_per_minute", csv_head="tokens_per_minute", place="figure"),
            Column("cluster", "In the cluster", "cluster", kind="figure", csv_head="in_cluster",
                   unknown="none or not read"),
            Column("envoy", "In Envoy", "envoy", csv_head="in_envoy", unknown=NOT_READ),
            Column("class", "Class", "grant.get_service_class_display", sort="service_class",
                   csv_head="class", optional=True),
            Column("at_once", "Calls at once", "grant.calls_at_once", kind="figure",
                   sort="calls_at_once", csv_head="calls_at_once", optional=True, unknown="any"),
            Column("budget", "Budget", "budget.amount", kind="money", unit="a month",
                   csv_head="budget_usd", unknown="none",
                   url=lambda row: row.budget.get_absolute_url() if row.budget else ""),
            Column("why", "Ask", lambda row: "Why?", url=_why, csv=_why,
                   csv_head="why", optional=True),
        ),
        search=("team__slug", "registered_model__name"),
        search_words="Team or model",
        filters=LimitFilters,
        order="team",
        empty=Empty("No team may call a model yet", "Team leads ask for a model from the catalog.",
                    "Open the catalog", reverse_lazy("catalog:model_list")),
        with_facts=with_facts,
    )  # fmt: skip


def _why(row: Any) -> str:
    return address_of(row.grant.team.slug, row.grant.registered_model.name)


def drift(moment: datetime) -> Table:
    """Return the table of the differences: rows are GatewayDrift."""
    return Table(
        name="gateway-drift",
        noun=("difference", "differences"),
        columns=(
            Column("model", "Model", "registered_model.name", sort="registered_model__name",
                   csv_head="model", place="name",
                   url=lambda row: reverse("gateway:policy_detail",
                                           args=[row.registered_model.name])),
            Column("state", "State", partial(_state, moment), kind="badge", csv_head="state",
                   place="figure"),
            Column("what", "What", "get_what_display", sort="what", csv_head="what"),
            Column("subject", "About", "subject", sort="subject", csv_head="of",
                   unknown="all of it"),
            Column("place", "Seen in", "get_place_display", sort="place", csv_head="place"),
            Column("declared", "Declared", "declared", csv_head="declared"),
            Column("found", "Found", "found", csv_head="found"),
            Column("since", "Since", "since", kind="time", sort="since", csv_head="since"),
            Column("until", "Until", "ended_at", kind="time", sort="ended_at", csv_head="until",
                   unknown="still there", optional=True, at_first=False),
        ),
        search=("registered_model__name", "subject"),
        search_words="Model or team",
        filters=DriftFilters,
        order="-since",
        empty=Empty("Nothing differs", "What was read back is what the portal says.",
                    icon="circle-check"),
    )  # fmt: skip


def _state(moment: datetime, row: GatewayDrift) -> Any:
    return drift_badge(row, moment)
