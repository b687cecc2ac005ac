"""The catalog as a table: the same models as its cards, sorted, with a choice of columns, as CSV.
Declarations only; its search and facets are those that the cards have too.
"""

from django.urls import reverse

from apps.common.tables.columns import Column, Table

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
        ),
        Column(
            "serving",
            "Serving",
            "serving.badge",
            kind="badge",
            sub="mark",
            sort="serving.badge.words",
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
        Column("measured", "Measured", "measured", unknown="not measured", optional=True),
        Column(
            "price",
            "Price",
            "price",
            unit="per M tokens",
            sort="rate.input_usd_per_million",
            unknown="No price set yet",
        ),
        Column(
            "access",
            "Your team",
            "access.words",
            template="catalog/_access_cell.html",
        ),
    ),
    order="model",
    page_size=24,
)
