"""What finance types about contracts for machines. Parsing only; the rules are in actions.py."""

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.common.periods import end_of_day, start_of_day
from apps.common.reasons import LONGEST
from apps.fleet.pricing.actions import Terms
from apps.fleet.pricing.models import PriceOverride
from apps.fleet.words import capacity_type
from apps.manifests.capacity import ON_DEMAND, SPOT

KINDS = (ON_DEMAND, SPOT, "reserved")
A_DAY = "Write a day, such as 2026-12-01."


def _day(label: str, **more: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={"required": A_DAY, "invalid": A_DAY},
        **more,
    )


def _number(
    label: str, *, decimals: int, digits: int, most: int | None = None
) -> forms.DecimalField:
    """Return a field of a number that may be left out."""
    wrong = "Write a number, such as 31.5."
    return forms.DecimalField(
        label=label,
        required=False,
        min_value=0,
        max_value=most,
        max_digits=digits,
        decimal_places=decimals,
        error_messages={
            "invalid": wrong,
            "max_digits": wrong,
            "max_whole_digits": wrong,
            "min_value": "It cannot be negative.",
            "max_value": f"It is at most {most}.",
            "max_decimal_places": f"It has {decimals} decimals at most.",
        },
    )


class OverrideForm(forms.Form):
    """What a contract says that a kind of machine costs, by the hour or as a discount."""

    instance_type = forms.CharField(
        label="Instance type", max_length=63, help_text="As AWS writes it: p5.48xlarge."
    )
    capacity_type = forms.ChoiceField(
        label="Bought", choices=[(kind, capacity_type(kind)) for kind in KINDS]
    )
    region = forms.CharField(
        label="Region", max_length=32, help_text="As AWS writes it: us-east-1."
    )
    usd_per_hour = _number("Price", decimals=10, digits=20)
    discount_percent = _number("Or discount on AWS's list price", decimals=2, digits=5, most=100)
    first_day = _day("From (UTC)")
    last_day = _day("To the end of (UTC)", required=False, help_text="Left out: it has no end yet.")
    reason = forms.CharField(
        label="Which contract is it?",
        help_text="It is kept in the record.",
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=LONGEST,
    )

    def terms(self) -> Terms:
        """Return what it is about. Call it after is_valid()."""
        names = ("instance_type", "capacity_type", "region", "usd_per_hour", "discount_percent")
        return Terms(**{name: self.cleaned_data[name] for name in names})

    def period(self) -> tuple[datetime, datetime | None]:
        """Return when it begins and ends. Call it after is_valid()."""
        last = self.cleaned_data["last_day"]
        return start_of_day(self.cleaned_data["first_day"]), end_of_day(last) if last else None


class EndForm(forms.Form):
    """When a contract ends, earlier than it was to."""

    contract = forms.ModelChoiceField(
        queryset=PriceOverride.objects.none(),
        label="Contract",
        empty_label="Choose a contract",
        error_messages={
            "required": "Choose the contract that ends.",
            "invalid_choice": "There is no such contract that goes on.",
        },
    )
    end_day = _day("Ends at the end of (UTC)")

    def __init__(self, *args: Any, contracts: QuerySet[PriceOverride], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["contract"].queryset = contracts  # type: ignore[attr-defined]

    def ends_at(self) -> datetime:
        """Return the moment. Call it after is_valid()."""
        return end_of_day(self.cleaned_data["end_day"])
