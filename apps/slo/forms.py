"""What people type about objectives. Parsing only; the rules are in actions.py."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import forms

from apps.common.reasons import ReasonForm
from apps.metering.met.models import BOUNDS
from apps.slo.actions import Terms
from apps.slo.burn import Kind
from apps.slo.models import DEFAULT_DAYS, LEAST, LONGEST, MOST, SHORTEST, Objective, Window
from apps.slo.words import time_words


class TermsForm(ReasonForm):
    """What an objective that there is promises, and why it changes."""

    target_percent = forms.DecimalField(
        label="Share of the calls",
        min_value=LEAST,
        max_value=MOST,
        max_digits=6,
        decimal_places=3,
        help_text="What is left to 100 % is the error budget.",
    )
    threshold_ms = forms.TypedChoiceField(
        label="Within",
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "—"), *((bound, time_words(bound)) for bound in BOUNDS)],
        help_text="The time to the first token, or to the end. Availability has none.",
    )
    window_days = forms.IntegerField(
        label="Days of a rolling window",
        required=False,
        min_value=SHORTEST,
        max_value=LONGEST,
        help_text="A calendar month has none.",
    )
    holds_rollouts = forms.BooleanField(
        label="Hold rollouts of the model while the budget burns fast",
        required=False,
    )
    field_order: Sequence[str] = (
        "target_percent", "threshold_ms", "window_days", "holds_rollouts", "reason",
    )  # fmt: skip

    @property
    def terms(self) -> Terms:
        """Return what is promised. Call it after is_valid()."""
        names = ("target_percent", "threshold_ms", "window_days", "holds_rollouts")
        return Terms(**{name: self.cleaned_data[name] for name in names})


class ObjectiveForm(TermsForm):
    """A new objective, or another wording of the one of its kind and window."""

    kind = forms.ChoiceField(label="About", choices=Kind.choices)
    window = forms.ChoiceField(label="Window", choices=Window.choices)
    field_order: Sequence[str] = ("kind", "window", *TermsForm.field_order)


def initial_of(objective: Objective) -> dict[str, Any]:
    """Return what an objective says, for the form."""
    return {
        "target_percent": objective.target_percent.normalize(),
        "threshold_ms": objective.threshold_ms,
        "window_days": objective.window_days,
        "holds_rollouts": objective.holds_rollouts,
    }


def initial_of_new() -> dict[str, Any]:
    """Return what the form of a new objective begins with."""
    return {
        "kind": Kind.AVAILABILITY,
        "window": Window.ROLLING,
        "target_percent": Decimal("99.5"),
        "window_days": DEFAULT_DAYS,
    }
