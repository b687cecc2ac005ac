"""The catalog's list and a model's overview: what each model is for, whether it serves now, how
fast it was, what it costs, and whether the person's team has it.

Everything is in the first answer; each app is asked once, however many models a page has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Case, Exists, OuterRef, Value, When
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.queries import TeamAccess, team_access
from apps.accounts.models import Role, User
from apps.accounts.requests import SignedIn
from apps.catalog import pages
from apps.catalog.facts.models import ModelFacts
from apps.catalog.facts.queries import of_models as facts_of_models
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.queries import model_for
from apps.catalog.retirement import words as retiring
from apps.catalog.retirement.models import Retirement, standing
from apps.chargeback import queries as chargeback
from apps.chargeback.prices.words import PriceWords, price_words
from apps.chargeback.rating import Prices
from apps.common.badges import Badge
from apps.common.simulated import MARK, Simulated
from apps.common.tables.reading import respond
from apps.evals import pages as evals
from apps.evals import queries as runs
from apps.evals.models import EvalRun
from apps.metering.performance.models import Performance
from apps.metering.performance.queries import performances
from apps.promotions import serving
from apps.promotions.serving import ServingState
from apps.slo import queries as objectives
from apps.slo.actions import may_set
from portal.pages import catalog_table
from portal.pages.measured import Speed


@dataclass(frozen=True)
class Card:
    """A model as the catalog shows it. prices: None where none is set; result: the evaluation of
    the version that serves, None without one; retirement: None where it stays;
    performance: of the version that serves, None where too few called it lately; facts: what the
    files of its newest version say, None where nobody has read any.
    """

    model: RegisteredModel
    serving: ServingState
    prices: Prices | None
    access: TeamAccess
    result: EvalRun | None
    retirement: Retirement | None = None
    performance: Performance | None = None
    facts: ModelFacts | None = None

    @property
    def badge(self) -> Badge:
        """Return that it goes or is gone, where that is so; else what its callers meet."""
        return retiring.badge(self.retirement) if self.retirement else self.serving.badge

    @property
    def lifecycle(self) -> str:
        """Return which choice of the facet it fits."""
        return catalog_table.lifecycle(self.retirement)

    @property
    def measured(self) -> str:
        """Return how fast the live version is, in words; "" where that was not measured."""
        return self.speed.words

    @property
    def speed_facets(self) -> tuple[str, ...]:
        """Return the choices of the facet of first tokens that it fits."""
        return self.speed.facets

    @property
    def speed(self) -> Speed:
        """Return what is known of the live version's speed."""
        return Speed(self.performance, self.result)

    @property
    def price(self) -> str:
        """Return what a million tokens cost, read anew and written; "" where no price is set."""
        return self.price_words.main if self.price_words else ""

    @property
    def other_price(self) -> str:
        """Return what else its prices say; "" where no other is set."""
        return self.price_words.rest if self.price_words else ""

    @property
    def whole_price(self) -> str:
        """Return all that its prices say; "" where none is set."""
        return " · ".join(part for part in (self.price, self.other_price) if part)

    @property
    def price_words(self) -> PriceWords | None:
        """Return its prices in words; None where none is set."""
        return price_words(self.prices)

    @property
    def state(self) -> str:
        """Return what its callers meet, as the facet of states names it."""
        return str(self.serving.state)

    @property
    def price_facets(self) -> tuple[str, ...]:
        """Return the choices of the facet of prices that it fits."""
        return catalog_table.price_facets(self.prices)

    @property
    def parameter_facets(self) -> tuple[str, ...]:
        """Return the choices of the facet of sizes that it fits."""
        return catalog_table.parameter_facets(self.facts.parameters if self.facts else None)

    @property
    def context_facets(self) -> tuple[str, ...]:
        """Return the choices of the facet of contexts that it fits."""
        return catalog_table.context_facets(self.facts.context if self.facts else None)

    @property
    def mark(self) -> str:
        """Return "simulated" where something behind its figures was made up, else ""."""
        return MARK if self.simulated else ""

    @property
    def simulated(self) -> Simulated:
        """Return what behind the card's figures was made up."""
        by_stand_in = self.result is not None and evals.is_stand_in(self.result)
        sleep, performance = self.serving.sleep, self.performance
        return Simulated(
            engine=by_stand_in
            or self.serving.is_stand_in
            or (performance is not None and performance.is_by_stand_in),
            machines=(sleep is not None and sleep.starts.is_simulated)
            or (performance is not None and performance.is_machine_simulated),
            prices=sleep is not None and sleep.starts.is_price_simulated,
        )


def cards(models: Sequence[RegisteredModel], user: User, at: datetime) -> list[Card]:
    """Return the models' cards; nine queries, four more where a version sleeps."""
    states = serving.states(models, at)
    prices = chargeback.prices(models, at)
    access = team_access(models, user, at)
    live = [state.live.model_version for state in states.values() if state.live]
    results = runs.newest_results(live)
    speeds = performances([version.name for version in live], at)
    going = standing(model.pk for model in models)
    facts = facts_of_models([model.pk for model in models])
    return [
        Card(
            model,
            state := states[model.pk],
            prices.get(model.pk),
            access[model.pk],
            results.get(state.live.model_version_id) if state.live else None,
            going.get(model.pk),
            speeds.get(state.live.model_version.name) if state.live else None,
            facts.get(model.pk),
        )
        for model in models
    ]


@require_GET
def model_list(request: SignedIn) -> HttpResponseBase:
    """Show the catalog, as cards or as a table: the page, its list alone, or CSV."""
    verified = ModelVersion.objects.verified().filter(registered_model=OuterRef("pk"))
    having = Case(When(Exists(verified), then=Value("verified")), default=Value("none"))
    rows = RegisteredModel.objects.visible_to(request.user).annotate(having=having)
    found = cards(list(rows.select_related("owner_team")), request.user, now())
    context = {
        "as_cards": request.GET.get("view") != "table",
        "may_register": request.user.has_role(Role.MODEL_OWNER),
    }
    return respond(
        catalog_table.models(found, request.user),
        request,
        found,
        "catalog/model_list.html",
        context,
        alone="catalog/_models.html",
    )


@require_GET
def model_detail(request: SignedIn, name: str) -> HttpResponse:
    """Show what a model is for, whether it serves, what it costs, and who owns it."""
    model, moment = model_for(request.user, name), now()
    newest = model.versions.select_related("registered_model").first()
    [card] = cards([model], request.user, moment)
    context = {
        "model": model,
        "crumbs": pages.crumbs(model),
        "facts": pages.model_facts(model, card.facts),
        "card": card,
        "serving": card.serving,
        "retirement": card.retirement,
        "goes": retiring.sentence(card.retirement, moment) if card.retirement else "",
        "objectives": objectives.of_models([model], moment).get(model.pk, []),
        "may_set_objectives": may_set(model, request.user),
        "newest": newest,
        "newest_badge": pages.version_badge(newest) if newest else None,
        "may_publish": model.is_owned_by(request.user),
        "retry_after": settings.SCALING_RETRY_AFTER_SECONDS,
    }
    return render(request, "catalog/model_detail.html", context)
