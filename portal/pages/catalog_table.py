"""The catalog as a table: what it is searched and narrowed by, its columns, its order. Declarations
only. Its rows are the cards of catalog.py, which the page shows as cards or in lines.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import django_filters
from django.urls import reverse, reverse_lazy

from apps.accounts.models import Role, User
from apps.catalog.facts.words import count_words
from apps.catalog.models import DataClass
from apps.catalog.retirement.models import Retirement
from apps.chargeback.rating import Prices
from apps.common.filters import Filters
from apps.common.money import NO_PRICE, unit_price
from apps.common.tables.columns import Column, Empty, Table
from apps.promotions.serving import STATE_WORDS
from portal.pages import measured

PRICED, UNPRICED = "set", "none"
# of a million output tokens: what most of a call costs
UP_TO = tuple(Decimal(usd) for usd in ("0.50", "1", "2", "5", "10"))
PRICES = (
    *((str(usd), f"Up to {unit_price(usd)} out") for usd in UP_TO),
    (PRICED, "Any price set"),
    (UNPRICED, NO_PRICE.capitalize()),
)
LIFECYCLES = (("stays", "Stays"), ("goes", "Is to be retired"), ("gone", "Retired"))
VERSIONS = (("verified", "Has a verified version"), ("none", "None verified yet"))


UNKNOWN = "unknown"
# what the newest version's own files say
PARAMETERS_UP_TO = tuple(count * 10**9 for count in (1, 4, 9, 35, 80))
PARAMETERS = (
    *((str(count), f"Up to {count_words(count)}") for count in PARAMETERS_UP_TO),
    ("more", f"Above {count_words(PARAMETERS_UP_TO[-1])}"),
    (UNKNOWN, "Not known"),
)
CONTEXTS_FROM = tuple(thousand * 1024 for thousand in (8, 32, 128))
CONTEXTS = (
    *((str(tokens), f"{tokens:,} tokens or more") for tokens in CONTEXTS_FROM),
    (UNKNOWN, "Not known"),
)


def parameter_facets(count: int | None) -> tuple[str, ...]:
    """Return every choice of PARAMETERS that a model of this size fits."""
    if count is None:
        return (UNKNOWN,)
    found = tuple(str(limit) for limit in PARAMETERS_UP_TO if count <= limit)
    return found or ("more",)


def context_facets(tokens: int | None) -> tuple[str, ...]:
    """Return every choice of CONTEXTS that a model with this context fits."""
    if tokens is None:
        return (UNKNOWN,)
    return tuple(str(least) for least in CONTEXTS_FROM if tokens >= least)


def price_facets(prices: Prices | None) -> tuple[str, ...]:
    """Return every choice of PRICES that a model with these prices fits."""
    if prices is None:
        return (UNPRICED,)
    output = prices.output
    return (PRICED, *(str(usd) for usd in UP_TO if output is not None and output <= usd))


def lifecycle(retirement: Retirement | None) -> str:
    """Return which choice of LIFECYCLES a model with this retirement fits."""
    if retirement is None:
        return "stays"
    return "gone" if retirement.is_retired else "goes"


def _facet(field_name: str, label: str, choices: Iterable[tuple[str, str]]) -> Any:
    return django_filters.ChoiceFilter(
        field_name=field_name, label=label, choices=list(choices), empty_label="Any"
    )


def facets(cards: Iterable[Any]) -> type[Filters]:
    """Return what the catalog is narrowed by: states, prices, sizes, data classes, and the tasks,
    families and licenses that these cards have.
    """
    models = [card.model for card in cards]

    def occurring(name: str, label: str) -> Any:
        found = sorted({getattr(model, name) for model in models})
        return _facet(f"model.{name}", label, [(value, value) for value in found])

    class Facets(Filters):
        state = _facet("state", "State", ((str(key), said) for key, said in STATE_WORDS.items()))
        price = _facet("price_facets", "Price", PRICES)
        speed = _facet("speed_facets", "First token, p95", measured.CHOICES)
        task = occurring("task", "Task")
        parameters = _facet("parameter_facets", "Parameters", PARAMETERS)
        context = _facet("context_facets", "Context", CONTEXTS)
        family = occurring("family", "Family")
        data_class = _facet("model.data_class", "Data class", DataClass.choices)
        license = occurring("license", "License")
        version = _facet("model.having", "Versions", VERSIONS)
        lifecycle = _facet("lifecycle", "Lifecycle", LIFECYCLES)

    return Facets


def models(cards: Iterable[Any], user: User) -> Table:
    """Return the table of all the cards that a person may see."""
    empty = FIRST if user.has_role(Role.MODEL_OWNER) else MODELS.empty
    return replace(MODELS, filters=facets(cards), empty=empty)


FIRST = Empty(
    "No models yet",
    "A model owner registers a model; then its versions are published, evaluated and promoted.",
    "Register a model",
    reverse_lazy("catalog:model_create"),
)
MODELS = Table(
    name="models",
    noun=("model", "models"),
    columns=(
        Column(
            "model",
            "Model",
            "model.name",
            sort="model.name",
            sub="model.title",
            url=lambda card: reverse("catalog:model_detail", args=[card.model.name]),
            place="name",
            css="min-w-40",
        ),
        Column(
            "serving",
            "Serving",
            "badge",
            kind="badge",
            sub="mark",
            sort="badge.words",
            place="figure",
            css="nowrap",
        ),
        Column("task", "Task", "model.task", sort="model.task", optional=True),
        Column(
            "family",
            "Family",
            "model.family",
            sort="model.family",
            optional=True,
            at_first=False,
        ),
        Column(
            "context",
            "Context",
            "model.context_length",
            kind="figure",
            unit="tokens",
            sort="model.context_length",
            optional=True,
        ),
        Column(
            "data",
            "Data class",
            "model.get_data_class_display",
            sort="model.data_class",
            optional=True,
        ),
        Column(
            "measured",
            "Measured",
            "measured",
            sort="speed.ttft_p95_ms",
            sub="speed.source",
            unknown=measured.NOT_MEASURED,
            optional=True,
        ),
        Column(
            "price",
            "Price",
            "price",
            unit="per M tokens",
            sub="other_price",
            csv="whole_price",
            sort="prices.input",
            css="nowrap",
            unknown="No price set yet",
        ),
        Column(
            "access",
            "Your team",
            "access.words",
            template="catalog/_access_cell.html",
        ),
    ),
    search=("model.name", "model.title", "model.description"),
    search_words="Name or purpose",
    filters_in_line=3,
    order="model",
    page_size=24,
    empty=Empty("No models yet", "A model owner registers the first one. You will find it here."),
)
