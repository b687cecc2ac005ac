"""What a person types when asking for access. Parsing only; the rules are in wishes.py."""

from datetime import datetime, timedelta
from typing import Any

from django import forms

from apps.access import wishes
from apps.access.budgets.models import Budget
from apps.access.budgets.terms import NOT_ENFORCED
from apps.access.models import Grant
from apps.catalog.models import DataClass, RegisteredModel
from apps.common.periods import ZONE_NAME, day_of

USUAL_LENGTH = timedelta(days=90)
USUAL = {"tokens_per_minute": 20_000, "monthly_budget_usd": 100}
NUMBER = "Write a number, such as {}."


class AccessRequestForm(forms.Form):
    """Purpose, data class, expected work, limits."""

    purpose = forms.CharField(
        label="What will your team do with it?",
        help_text="The owner decides on this. Two sentences are enough.",
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": "Say in a sentence or two what your team will do with it."},
    )
    data_class = forms.ChoiceField(
        label="Most sensitive data you will send",
        choices=DataClass.choices,
        help_text="Never more than you need.",
        error_messages={
            "required": "Choose the most sensitive data you will send.",
            "invalid_choice": "Choose one of the three kinds of data.",
        },
    )
    tokens_per_minute = forms.IntegerField(
        label="Tokens per minute",
        help_text="Input and output together. Calls above it are refused until the minute ends.",
        error_messages={
            "required": "Say how many tokens per minute your team needs.",
            "invalid": NUMBER.format("20000"),
        },
    )
    monthly_budget_usd = forms.DecimalField(
        label="Monthly budget (USD)",
        help_text=f"By the price list, in each calendar month. {NOT_ENFORCED}",
        error_messages={
            "required": "Say how much your team may spend in a month.",
            "invalid": NUMBER.format("100.00"),
        },
    )
    expires_date = forms.DateField(
        label="Last day of access",
        help_text=f"Access ends at the end of that day, {ZONE_NAME}. At most a year from now.",
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={
            "required": "Say on which day access ends.",
            "invalid": "Write a day, such as 2027-02-23.",
        },
    )

    def __init__(self, *args: Any, model: RegisteredModel, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.model, self.now = model, now
        first, latest = wishes.first_last_day(now), wishes.latest_last_day(now)
        self.fields["expires_date"].widget.attrs |= {
            "min": first.isoformat(),
            "max": latest.isoformat(),
        }
        self.fields["tokens_per_minute"].widget.attrs |= {
            "min": 1,
            "max": wishes.HIGHEST_TOKENS_PER_MINUTE,
        }
        self.fields["monthly_budget_usd"].widget.attrs |= {"min": "0.01", "step": "0.01"}

    def clean(self) -> dict[str, Any]:
        """Judge everything that was understood, so that all that is wrong is said at once."""
        values = dict(self.cleaned_data)
        for name, words in wishes.problems(values, self.model, self.now).items():
            self.add_error(name, words)
        return values

    def wish(self) -> wishes.Wish:
        """Return the wish. Call it after is_valid()."""
        return wishes.Wish(**self.cleaned_data)


def usual_wish(
    now: datetime, renews: Grant | None = None, budget: Budget | None = None
) -> dict[str, object]:
    """Return what the form holds at first: the usual, or what the grant to renew was asked with.

    budget: of the grant's team for its model.
    """
    today, first = day_of(now), wishes.first_last_day(now)
    if renews is None:
        return USUAL | {"expires_date": today + USUAL_LENGTH}
    length = renews.last_day - day_of(renews.active_from)
    last_day = min(max(today + length, first), wishes.latest_last_day(now))
    return {
        "purpose": renews.request.purpose,
        "data_class": renews.request.data_class,
        "tokens_per_minute": renews.tokens_per_minute,
        "monthly_budget_usd": budget.amount if budget else renews.request.monthly_budget_usd,
        "expires_date": last_day,
    }
