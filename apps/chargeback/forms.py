"""What finance types when setting a price. Parsing only; the rules are in actions.py."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.catalog.models import RegisteredModel
from apps.chargeback.rating import Prices


class RateForm(forms.Form):
    """A model's prices from an hour on."""

    model = forms.ModelChoiceField(
        queryset=RegisteredModel.objects.all(),
        to_field_name="name",
        label="Model",
        empty_label="Choose a model",
    )
    input_usd = forms.DecimalField(label="Input", min_value=0, max_digits=20, decimal_places=10)
    cached_input_usd = forms.DecimalField(
        label="Cached input", min_value=0, max_digits=20, decimal_places=10
    )
    output_usd = forms.DecimalField(label="Output", min_value=0, max_digits=20, decimal_places=10)
    active_from = forms.DateTimeField(
        label="Begins (UTC)",
        help_text="A whole hour, after the current price began. The current price ends then.",
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
