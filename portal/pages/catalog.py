"""The catalog's list and a model's overview: what each model is for, whether it serves now, how
fast it was, what it costs, and whether the person's team has it.

Everything is in the first answer; each app is asked once, however many models a page has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Max, Q
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.queries import TeamAccess, team_access
from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.catalog import pages
from apps.catalog.models import DataClass, ModelVersion, RegisteredModel, RegisteredModelQuerySet
from apps.chargeback import queries as chargeback
from apps.chargeback.models import Rate
from apps.common.money import unit_price
from apps.common.simulated import MARK, Simulated
from apps.common.tables.reading import csv_of, is_for_table, read, wants_csv
from apps.evals import pages as evals
from apps.evals import queries as runs
from apps.evals.models import EvalRun
from apps.promotions import serving
from apps.promotions.serving import ServingState
from portal.pages.catalog_table import MODELS

PAGE = 24
FACETS = ("task", "family", "data_class", "license")


@dataclass(frozen=True)
class Card:
    """A model as the catalog shows it. rate: None where no price is set; result: the evaluation of
    the version that serves, None without one.
    """

    model: RegisteredModel
    serving: ServingState
    rate: Rate | None
    access: TeamAccess
    result: EvalRun | None

    @property
    def measured(self) -> str:
        """Return what the live version's evaluation measured, in words; "" without one."""
        return evals.measured(self.result)

    @property
    def price(self) -> str:
        """Return its price per million tokens, in words; "" where none is set."""
        if self.rate is None:
            return ""
        rate = self.rate
        parts = (
            f"{unit_price(rate.input_usd_per_million)} in",
            f"{unit_price(rate.cached_input_usd_per_million)} cached",
            f"{unit_price(rate.output_usd_per_million)} out",
        )
        return " · ".join(parts)

    @property
    def mark(self) -> str:
        """Return "simulated" where something behind its figures was made up, else ""."""
        return MARK if self.simulated else ""

    @property
    def simulated(self) -> Simulated:
        """Return what behind the card's figures was made up."""
        by_stand_in = self.result is not None and evals.is_stand_in(self.result)
        sleep = self.serving.sleep
        return Simulated(
            engine=by_stand_in or self.serving.is_stand_in,
            machines=sleep is not None and sleep.starts.is_simulated,
            prices=sleep is not None and sleep.starts.is_price_simulated,
        )


def cards(models: Sequence[RegisteredModel], user: User, at: datetime) -> list[Card]:
    """Return the models' cards; six queries, four more where a version sleeps."""
    states = serving.states(models, at)
    rates = chargeback.prices(models, at)
    access = team_access(models, user, at)
    live = [state.live.model_version for state in states.values() if state.live]
    results = runs.newest_results(live)
    return [
        Card(
            model,
            state := states[model.pk],
            rates.get(model.pk),
            access[model.pk],
            results.get(state.live.model_version_id) if state.live else None,
        )
        for model in models
    ]


@require_GET
def model_list(request: SignedIn) -> HttpResponseBase:
    """Show the catalog, as cards or as a table; the table's rows as CSV."""
    everything = RegisteredModel.objects.visible_to(request.user)
    chosen = {name: request.GET.get(name, "") for name in (*FACETS, "version")}
    query = request.GET.get("q", "").strip()
    found, as_table = _filtered(everything, query, chosen), request.GET.get("view") == "table"
    page = None if as_table else Paginator(found, PAGE).get_page(request.GET.get("page"))
    shown = cards(list(found if page is None else page), request.user, now())
    if as_table and wants_csv(MODELS, request):
        return csv_of(MODELS, request, shown)
    table = read(MODELS, request, shown) if as_table else None
    if as_table and is_for_table(MODELS, request):
        return render(request, "components/_table.html", {"table": table})
    context = {
        "page_obj": page,
        "cards": shown,
        "table": table,
        "query": query,
        "chosen": chosen,
        "filtered": bool(query or any(chosen.values())),
        "facets": _facets(everything),
        "as_table": as_table,
        "may_register": request.user.has_role(Role.MODEL_OWNER),
    }
    template = "catalog/model_list.html" + ("#rows" if request.htmx else "")
    return render(request, template, context)


def _filtered(
    rows: RegisteredModelQuerySet, query: str, chosen: dict[str, str]
) -> RegisteredModelQuerySet:
    if query:
        rows = rows.filter(
            Q(name__icontains=query) | Q(title__icontains=query) | Q(description__icontains=query)
        )
    rows = rows.filter(**{name: chosen[name] for name in FACETS if chosen[name]})
    verified = Max("versions__number", filter=Q(versions__status=ModelVersion.Status.VERIFIED))
    rows = rows.annotate(verified_number=verified).select_related("owner_team").order_by("name")
    having = Q(pk__in=ModelVersion.objects.verified().values("registered_model"))
    if chosen["version"] in ("verified", "none"):
        rows = rows.filter(having if chosen["version"] == "verified" else ~having)
    return rows


def _facets(rows: RegisteredModelQuerySet) -> list[dict[str, object]]:
    """Return each facet with the values that occur, from one query."""
    found = list(rows.values_list("task", "family", "license").distinct())
    occurring = (("task", "Task"), ("family", "Family"), ("license", "License"))
    facets: list[dict[str, object]] = [
        {
            "name": name,
            "label": label,
            "values": [(value, value) for value in sorted({row[place] for row in found})],
        }
        for place, (name, label) in enumerate(occurring)
    ]
    versions = [("verified", "Has a verified version"), ("none", "None")]
    return [
        *facets,
        {"name": "data_class", "label": "Data class", "values": DataClass.choices},
        {"name": "version", "label": "Versions", "values": versions},
    ]


@require_GET
def model_detail(request: SignedIn, name: str) -> HttpResponse:
    """Show what a model is for, whether it serves, what it costs, and who owns it."""
    rows = RegisteredModel.objects.visible_to(request.user)
    model = get_object_or_404(rows.select_related("owner_team", "created_by"), name=name)
    newest = model.versions.select_related("registered_model").first()
    [card] = cards([model], request.user, now())
    context = {
        "model": model,
        "crumbs": pages.crumbs(model),
        "facts": pages.model_facts(model),
        "card": card,
        "serving": card.serving,
        "newest": newest,
        "newest_badge": pages.version_badge(newest) if newest else None,
        "may_publish": model.is_owned_by(request.user),
        "retry_after": settings.SCALING_RETRY_AFTER_SECONDS,
    }
    return render(request, "catalog/model_detail.html", context)
