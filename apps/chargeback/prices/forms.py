"""What finance types when proposing prices. Parsing only; the rules are in actions.py."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.catalog.models import RegisteredModel
from apps.chargeback.rating import Prices
from apps.common.money import exact
from apps.common.reasons import LONGEST
from apps.metering.skus import UNITS, Sku

NEEDED = (Sku.INPUT, Sku.CACHED_INPUT, Sku.OUTPUT)  # every call of a model is metered by these
REST = tuple(sku for sku in Sku if sku not in NEEDED)
DIGITS, DECIMALS = 20, 10  # of a price


def _price_field(sku: Sku) -> forms.DecimalField:
    """Return the field of a SKU's price in USD for its unit; 0 is a price too."""
    number = "Write a price in USD, such as 0.12."
    unit = UNITS[sku].per_words.replace("M tokens", "a million tokens")
    return forms.DecimalField(
        label=sku.label,
        required=sku in NEEDED,
        min_value=0,
        max_digits=DIGITS,
        decimal_places=DECIMALS,
        error_messages={
            "required": f"Say what {unit} cost; 0 where they cost nothing.",
            "invalid": number,
            "min_value": "A price cannot be negative.",
            "max_digits": number,
            "max_whole_digits": number,
            "max_decimal_places": "A price has ten decimals at most.",
        },
    )


class MarginForm(forms.Form):
    """What a suggestion of prices from the real cost starts from."""

    model = forms.ModelChoiceField(
        queryset=RegisteredModel.objects.all(), to_field_name="name", label="Model"
    )
    margin = forms.DecimalField(
        label="Margin",
        min_value=-100,
        max_value=10_000,
        decimal_places=2,
        widget=forms.NumberInput(attrs={"step": "1"}),
    )

    def __init__(self, data: Any, *, models: QuerySet[RegisteredModel]) -> None:
        super().__init__(data, auto_id="from-%s")
        self.fields["model"].queryset = models  # type: ignore[attr-defined]


class PriceChangeForm(forms.Form):
    """A model's whole price list from an hour on. Its price fields are named as the SKUs, in lower
    case.
    """

    model = forms.ModelChoiceField(
        queryset=RegisteredModel.objects.all(),
        to_field_name="name",
        label="Model",
        empty_label="Choose a model",
        error_messages={
            "required": "Choose the model that the prices are for.",
            "invalid_choice": "There is no such model.",
        },
    )
    active_from = forms.DateTimeField(
        label="Begins (UTC)",
        help_text="A whole hour of the open period or later. What is priced otherwise from then "
        "on is priced anew.",
        error_messages={
            "required": "Say from which hour the prices count.",
            "invalid": "Write a day and an hour, such as 2026-12-01 00:00.",
        },
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": 3600}, format="%Y-%m-%dT%H:%M"
        ),
    )
    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=LONGEST,
    )

    def __init__(self, *args: Any, models: QuerySet[RegisteredModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]
        self.fields |= {sku.lower(): _price_field(sku) for sku in Sku}

    def price_fields(self) -> list[tuple[forms.BoundField, str]]:
        """Return the fields of the prices that every model has, each with its unit."""
        return [(self[sku.lower()], f"USD / {UNITS[sku].per_words}") for sku in NEEDED]

    def other_price_fields(self) -> list[list[tuple[forms.BoundField, str]]]:
        """Return the fields of the other prices, each with its unit, two a row."""
        found = [(self[sku.lower()], f"USD / {UNITS[sku].per_words}") for sku in REST]
        return [found[place : place + 2] for place in range(0, len(found), 2)]

    def prices(self) -> Prices:
        """Return the prices. Call it after is_valid()."""
        return Prices(**{sku.lower(): self.cleaned_data[sku.lower()] for sku in Sku})


def initial_of(model: RegisteredModel | None, prices: Prices | None) -> dict[str, object]:
    """Return what the form shows at first: a model and the prices that it has."""
    known = prices.by_sku if prices else {}
    found: dict[str, object] = {sku.lower(): exact(usd) for sku, usd in known.items()}
    return found | ({"model": model.name} if model else {})
