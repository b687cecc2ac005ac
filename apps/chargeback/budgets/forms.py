"""What people type about budgets. Parsing only; the rules are in access/budgets."""

from datetime import datetime
from typing import Any

from django import forms

from apps.access.budgets.models import Budget, Mode, Unit
from apps.access.budgets.terms import Terms
from apps.accounts.models import CostCenter, Role, Team, User
from apps.accounts.roles import SETS_COST_CENTER_BUDGETS, SETS_TEAM_BUDGETS
from apps.catalog.models import RegisteredModel
from apps.common.reasons import LONGEST, SHORTEST
from apps.common.zones import ZONES

NUMBER = "Write a number, such as 1000."


def _reason(help_text: str) -> forms.CharField:
    return forms.CharField(
        label="Why?",
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": 2}),
        min_length=SHORTEST,
        max_length=LONGEST,
    )


def _amount(label: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label,
        max_digits=20,
        decimal_places=2,
        error_messages={"required": "Say how much.", "invalid": NUMBER},
        widget=forms.NumberInput(attrs={"min": "0.01", "step": "any"}),
    )


class ThresholdsField(forms.CharField):
    """Per cents, "50, 80, 100"."""

    def to_python(self, value: Any) -> Any:
        """Return them as numbers, as they were written."""
        text = super().to_python(value) or ""
        try:
            return tuple(int(part) for part in text.replace("%", " ").replace(",", " ").split())
        except ValueError:
            raise forms.ValidationError("Write per cents, such as 80, 100.") from None

    def prepare_value(self, value: Any) -> Any:
        """Return them as a person writes them."""
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


class TermsForm(forms.Form):
    """What a budget says."""

    amount = _amount("A month")
    mode = forms.ChoiceField(
        label="When it is spent",
        choices=Mode.choices,
        help_text=f"People are told in each case. Only “{Mode.HARD.label}” lets the gateway refuse "
        "a call that too little is left for.",
    )
    thresholds = ThresholdsField(
        label="Tell people at",
        help_text="Per cent of the month's limit; each is told once a month.",
        error_messages={"required": "Write per cents, such as 80, 100."},
    )
    zone = forms.ChoiceField(
        label="Months of",
        choices=list(ZONES.items()),
        help_text="The calendar month begins and ends at midnight there.",
    )
    reason = _reason("Whoever decides or looks later reads this; it is kept in the record.")

    def terms(self) -> Terms:
        """Return the terms. Call it after is_valid()."""
        values = self.cleaned_data
        return Terms(values["amount"], values["zone"], values["mode"], values["thresholds"])


class BudgetForm(TermsForm):
    """A budget where there is none. Only scopes that the person sets are offered."""

    cost_center = forms.ModelChoiceField(
        CostCenter.objects.order_by("code"),
        to_field_name="code",
        label="Cost center",
        required=False,
        empty_label="None: it is a team's",
    )
    team = forms.ModelChoiceField(
        Team.objects.order_by("slug"),
        to_field_name="slug",
        label="Team",
        required=False,
        empty_label="None: it is a cost center's",
    )
    model = forms.ModelChoiceField(
        RegisteredModel.objects.order_by("name"),
        to_field_name="name",
        label="Model",
        required=False,
        empty_label="All models of the team",
    )
    unit = forms.ChoiceField(label="Counts", choices=Unit.choices)
    field_order = ("cost_center", "team", "model", "unit", "amount")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not user.has_role(*SETS_COST_CENTER_BUDGETS):
            del self.fields["cost_center"]
        if user.has_role(*SETS_TEAM_BUDGETS):
            return
        owned = RegisteredModel.objects.filter(owner_team=user.team_id).order_by("name")
        if user.has_role(Role.MODEL_OWNER):
            self.fields["model"].queryset = owned  # type: ignore[attr-defined]
            return
        del self.fields["team"], self.fields["model"]

    def clean(self) -> dict[str, Any]:
        """Judge everything that was understood, so that all that is wrong is said at once."""
        values = dict(self.cleaned_data)
        if bool(values.get("cost_center")) == bool(values.get("team")):
            where = "team" if "team" in self.fields else "cost_center"
            self.add_error(where, "Choose a cost center or a team.")
        elif values.get("cost_center") and values.get("model"):
            self.add_error("model", "A cost center's budget is for all models.")
        return values


class ChangeForm(TermsForm):
    """Other terms for a budget."""


class BoostForm(forms.Form):
    """More for a while."""

    amount = _amount("Adds to each month")
    last_day = forms.DateField(
        label="Last day",
        widget=forms.DateInput(attrs={"type": "date"}),
        error_messages={
            "required": "Say on which day it ends.",
            "invalid": "Write a day, such as 2027-02-23.",
        },
    )
    reason = _reason("Whoever decides reads this, and it is kept in the record.")

    def __init__(self, *args: Any, budget: Budget, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = ZONES[budget.zone]
        self.fields[
            "last_day"
        ].help_text = (
            f"It ends at the end of that day, {zone}. It adds to every month that it reaches into."
        )
