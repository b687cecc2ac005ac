"""What a person types when a model goes. Parsing only; the rules are in actions.py."""

from datetime import datetime
from typing import Any

from django import forms

from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.actions import first_last_day
from apps.catalog.retirement.models import Retirement
from apps.common.periods import ZONE_NAME

SHORTEST, LONGEST = 10, 2000  # characters of a note


class RetirementForm(forms.Form):
    """Last day, successor, and what callers are to do."""

    last_day = forms.DateField(
        label="Last day",
        help_text=f"The model may be called until the end of that day, {ZONE_NAME}.",
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={
            "required": "Say on which day the model may be called last.",
            "invalid": "Write a day, such as 2027-02-23.",
        },
    )
    successor = forms.ModelChoiceField(
        queryset=RegisteredModel.objects.none(),
        required=False,
        empty_label="None",
        label="Successor",
        help_text="What to call instead.",
        error_messages={"invalid_choice": "Choose one of the models that stay."},
    )
    note = forms.CharField(
        label="What callers are to do",
        help_text="Everybody who calls the model reads it.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=SHORTEST,
        max_length=LONGEST,
        error_messages={"required": "Say what callers are to do, and by when."},
    )

    def __init__(self, *args: Any, model: RegisteredModel, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        going = Retirement.objects.standing().values("registered_model")
        stay = RegisteredModel.objects.exclude(pk=model.pk).exclude(pk__in=going)
        successor = self.fields["successor"]
        assert isinstance(successor, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        successor.queryset = stay.order_by("name")
        self.fields["last_day"].widget.attrs["min"] = first_last_day(now).isoformat()
