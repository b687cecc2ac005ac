"""What a person types when asking for access. Parsing only; the rules are in wishes.py and
work.py.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms

from apps.access import wishes, work
from apps.access.budgets.models import Budget
from apps.access.budgets.terms import ENFORCED
from apps.access.models import MOST_CALLS_AT_ONCE, Grant, ServiceClass
from apps.access.work import Measured
from apps.catalog.models import DataClass, RegisteredModel
from apps.common.periods import ZONE_NAME, day_of

USUAL_LENGTH = timedelta(days=90)
OFFICE = {"hours_a_day": 10, "days_a_week": 5}
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
        help_text=f"By the price list, in each calendar month. {ENFORCED}",
        error_messages={
            "required": "Say how much your team may spend in a month.",
            "invalid": NUMBER.format("100.00"),
        },
    )
    service_class = forms.ChoiceField(
        label="Class of the calls",
        choices=(
            (ServiceClass.INTERACTIVE, "Interactive: somebody waits"),
            (ServiceClass.BATCH, "Batch: answers may wait"),
        ),
        required=False,
        help_text="An engine that schedules by priority takes interactive calls first.",
        error_messages={"invalid_choice": "Choose interactive or batch."},
    )
    calls_at_once = forms.IntegerField(
        label="Calls at once",
        required=False,
        help_text="So many of them may be under way. Left empty: any number.",
        error_messages={"invalid": NUMBER.format("20")},
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
        self.fields[
            "data_class"
        ].help_text = f"{wishes.highest_words(model)} Never more than you need."
        first, latest = wishes.first_last_day(now), wishes.latest_last_day(now)
        self.fields["expires_date"].widget.attrs |= {
            "min": first.isoformat(),
            "max": latest.isoformat(),
        }
        self.fields["tokens_per_minute"].widget.attrs |= {
            "min": 1,
            "max": wishes.HIGHEST_TOKENS_PER_MINUTE,
        }
        self.fields["calls_at_once"].widget.attrs |= {"min": 1, "max": MOST_CALLS_AT_ONCE}
        self.fields["monthly_budget_usd"].widget.attrs |= {"min": "0.01", "step": "0.01"}

    def clean(self) -> dict[str, Any]:
        """Judge everything that was understood, so that all that is wrong is said at once."""
        values = dict(self.cleaned_data)
        if values.get("service_class") == "":
            values["service_class"] = ServiceClass.INTERACTIVE.value
        for name, words in wishes.problems(values, self.model, self.now).items():
            self.add_error(name, words)
        return values

    def wish(self) -> wishes.Wish:
        """Return the wish. Call it after is_valid()."""
        return wishes.Wish(**self.cleaned_data)


def usual_wish(
    now: datetime, renews: Grant | None = None, budget: Budget | None = None
) -> dict[str, object]:
    """Return what the form holds at first: an end, or what the grant to renew was asked with.

    budget: of the grant's team for its model.
    """
    if renews is None:
        return {"expires_date": day_of(now) + USUAL_LENGTH}
    return asdict(wishes.renewal(renews, budget_of(renews, budget), now))


def budget_of(grant: Grant, budget: Budget | None) -> Decimal:
    """Return what a grant's team may spend on its model in a month: by its budget, and where it has
    none, by what was asked for.
    """
    return budget.amount if budget else grant.request.monthly_budget_usd


def usual_work(renews: Grant | None) -> dict[str, object]:
    """Return what the fields of the expected work hold at first: the hours of an office, or what
    was told when the grant to renew was asked for.
    """
    told = renews.request.expected if renews else None
    return dict(told["work"]) if told else dict(OFFICE)


class WorkForm(forms.Form):
    """What a team expects to do with a model. The rules are in work.py."""

    packets_a_day = forms.IntegerField(
        label="Packets a day",
        help_text="Or documents, calls, conversations: whatever comes one by one.",
        error_messages={
            "required": "Say how many come on a day of work.",
            "invalid": NUMBER.format("200"),
        },
    )
    pages_a_packet = forms.IntegerField(
        label="Pages in each",
        help_text="1 for what has no pages.",
        error_messages={
            "required": "Say how many pages one has on average.",
            "invalid": NUMBER.format("8"),
        },
    )
    hours_a_day = forms.IntegerField(
        label="Within hours of a day",
        error_messages={"required": "Say in how many hours.", "invalid": NUMBER.format("10")},
    )
    days_a_week = forms.IntegerField(
        label="Days a week",
        error_messages={"required": "Say on how many days.", "invalid": NUMBER.format("5")},
    )
    input_tokens_a_page = forms.IntegerField(
        label="Tokens read for a page",
        required=False,
        error_messages={"invalid": NUMBER.format("600")},
    )
    output_tokens_a_page = forms.IntegerField(
        label="Tokens written for a page",
        required=False,
        error_messages={"invalid": NUMBER.format("120")},
    )

    def __init__(self, *args: Any, measured: Measured | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.measured = measured
        for name in ("input_tokens_a_page", "output_tokens_a_page"):
            self.fields[name].required = measured is None
            self.fields[name].error_messages["required"] = work.NOT_MEASURED
        read, written = (
            self.fields[name] for name in ("input_tokens_a_page", "output_tokens_a_page")
        )
        if measured is None:
            read.help_text = "A page of plain text has about 500; the playground counts yours."
        else:
            read.help_text = f"Left empty: {measured.input_tokens:,}, as an average call."
            written.help_text = f"Left empty: {measured.output_tokens:,}, as an average call."

    def clean(self) -> dict[str, Any]:
        """Judge everything that was understood, so that all that is wrong is said at once."""
        values = dict(self.cleaned_data)
        for name, words in work.problems(values, is_measured=self.measured is not None).items():
            self.add_error(name, words)
        return values

    def expected(self) -> work.Work:
        """Return the expected work. Call it after is_valid()."""
        return work.Work(**self.cleaned_data)
