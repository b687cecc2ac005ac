"""What finance types when setting a price. Parsing only; the rules are in actions.py."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.catalog.models import RegisteredModel
from apps.chargeback.rating import Prices


def _price_field(label: str) -> forms.DecimalField:
    """Return the field of a price in USD per million tokens; 0 is a price too."""
    number = "Write a price in USD, such as 0.12."
    return forms.DecimalField(
        label=label,
        min_value=0,
        max_digits=20,
        decimal_places=10,
        error_messages={
            "required": "Say what a million tokens cost; 0 where they cost nothing.",
            "invalid": number,
            "min_value": "A price cannot be negative.",
            "max_digits": number,
            "max_whole_digits": number,
            "max_decimal_places": "A price has ten decimals at most.",
        },
    )


class RateForm(forms.Form):
    """A model's prices from an hour on."""

    model = forms.ModelChoiceField(
        queryset=RegisteredModel.objects.all(),
        to_field_name="name",
        label="Model",
        empty_label="Choose a model",
        error_messages={
            "required": "Choose the model that the price is for.",
            "invalid_choice": "There is no such model.",
        },
    )
    input_usd = _price_field("Input")
    cached_input_usd = _price_field("Cached input")
    output_usd = _price_field("Output")
    active_from = forms.DateTimeField(
        label="Begins (UTC)",
        help_text="A whole hour, after the current price began. The current price ends then.",
        error_messages={
            "required": "Say from which hour the price counts.",
            "invalid": "Write a day and an hour, such as 2026-12-01 00:00.",
        },
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": 3600}, format="%Y-%m-%dT%H:%M"
        ),
    )

    def __init__(self, *args: Any, models: QuerySet[RegisteredModel], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["model"].queryset = models  # type: ignore[attr-defined]

    def prices(self) -> Prices:
        """Return the prices. Call it after is_valid()."""
        values = self.cleaned_data
        return Prices(values["input_usd"], values["cached_input_usd"], values["output_usd"])
