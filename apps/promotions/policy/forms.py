"""What a person types when proposing a policy. Parsing only; the rules are in rules.py."""

from datetime import datetime
from typing import Any

from django import forms

from apps.accounts.models import Role
from apps.accounts.roles import DECIDES_PROMOTIONS
from apps.common.zones import ZONES
from apps.promotions.policy.freezes import DAYS, BadFreeze, Freeze
from apps.promotions.policy.rules import (
    BOUNDS,
    CHANGE_WORDS,
    EXCLUDED_WORDS,
    BadRules,
    Excluded,
    Rules,
)
from apps.promotions.policy.words import capital

EMPTY_FREEZES = 2  # rows to write another window in
MOST_FREEZES = 20
MOMENT = "%Y-%m-%dT%H:%M"
FIGURES = tuple(BOUNDS)
CLOCK = forms.TimeInput(format="%H:%M", attrs={"type": "time"})


def _whole(name: str, label: str, help_text: str = "") -> forms.IntegerField:
    least, most, _ = BOUNDS[name]
    return forms.IntegerField(
        label=label, help_text=help_text, min_value=int(least), max_value=int(most)
    )


def _figure(name: str, label: str, help_text: str = "") -> forms.FloatField:
    least, most, _ = BOUNDS[name]
    return forms.FloatField(label=label, help_text=help_text, min_value=least, max_value=most)


class PolicyForm(forms.Form):
    """All rules but the freeze windows, each of which is a row of its own."""

    approvals = _whole("approvals", "Approvals needed", "Each by another person.")
    approver_roles = forms.MultipleChoiceField(
        label="Who approves",
        choices=[(role.value, str(role.label)) for role in map(Role, DECIDES_PROMOTIONS)],
        widget=forms.CheckboxSelectMultiple,
    )
    excluded = forms.MultipleChoiceField(
        label="Who does not, whatever their role",
        help_text="Whoever proposed it never approves: that is in no policy's power.",
        choices=[
            (one.value, capital(EXCLUDED_WORDS[one]))
            for one in Excluded
            if one != Excluded.REQUESTER
        ],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    approval_max_age_days = _whole(
        "approval_max_age_days",
        "An approval counts for (days)",
        "Where the rollout has not started by then, the promotion expires.",
    )
    change = forms.ChoiceField(
        label="Change record in ServiceNow",
        choices=[(one.value, capital(words)) for one, words in CHANGE_WORDS.items()],
    )
    real_engine_required = forms.BooleanField(
        label="The evaluation must come from a real engine",
        help_text="A stand-in's run counts in the local stack alone, and only where this is off.",
        required=False,
    )
    steps = forms.CharField(
        label="Weights (%)",
        help_text="The share of the callers at each step, rising to 100: 10, 50, 100.",
        max_length=60,
    )
    hold_seconds = _whole("hold_seconds", "Each weight is held for (s)")
    minimum_calls = _whole("minimum_calls", "Calls needed of each version")
    error_points = _figure("error_points", "Errors: percentage points above the baseline")
    ttft_factor = _figure("ttft_factor", "TTFT p95: times the baseline's")
    ttft_slack_ms = _figure("ttft_slack_ms", "TTFT p95: ms on top")
    speed_factor = _figure("speed_factor", "Tokens/s: share of the baseline's")
    emergency_review_hours = _whole(
        "emergency_review_hours", "An emergency is reviewed within (hours)"
    )
    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )

    def clean_steps(self) -> list[int]:
        """Return the percents."""
        parts = [part.strip() for part in self.cleaned_data["steps"].split(",")]
        if not all(part.isdecimal() for part in parts):
            raise forms.ValidationError("Write whole percents with commas between: 10, 50, 100.")
        return [int(part) for part in parts]

    def rules(self, freezes: list[Freeze]) -> Rules | None:
        """Return the rules; None, with the error on the form, where no policy says that. Call it
        after is_valid().
        """
        values = {name: self.cleaned_data[name] for name in self.cleaned_data}
        del values["justification"]
        values["excluded"] = [Excluded.REQUESTER.value, *values["excluded"]]
        try:
            made = Rules.of({**values, "freezes": []})
        except BadRules as error:
            self.add_error(None, str(error))
            return None
        return Rules(**{**vars(made), "freezes": tuple(freezes)})

    @staticmethod
    def initial_of(rules: Rules) -> dict[str, object]:
        """Return what the form shows for rules as they are."""
        figures = {name: getattr(rules, name) for name in FIGURES}
        # 2, not 2.0: as people write it
        found: dict[str, object] = {
            name: f"{value:g}" if isinstance(value, float) else value
            for name, value in figures.items()
        }
        return found | {
            "approver_roles": list(rules.approver_roles),
            "excluded": list(rules.excluded),
            "change": rules.change,
            "real_engine_required": rules.real_engine_required,
            "steps": ", ".join(str(percent) for percent in rules.steps),
        }


class FreezeForm(forms.Form):
    """One freeze window: between two dates, or from one weekday to another every week. A row
    without a word of why is left out.
    """

    words = forms.CharField(
        label="Why", help_text="Such as: Open enrollment.", max_length=200, required=False
    )
    starts_at = forms.DateTimeField(
        label="From",
        input_formats=[MOMENT],
        widget=forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local"}),
        required=False,
    )
    ends_at = forms.DateTimeField(
        label="To",
        input_formats=[MOMENT],
        widget=forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local"}),
        required=False,
    )
    starts_day = forms.ChoiceField(
        label="Or every week from", choices=[("", "No day"), *DAYS.items()], required=False
    )
    starts_time = forms.TimeField(label="At", widget=CLOCK, required=False)
    ends_day = forms.ChoiceField(
        label="To", choices=[("", "No day"), *DAYS.items()], required=False
    )
    ends_time = forms.TimeField(label="At", widget=CLOCK, required=False)
    zone = forms.ChoiceField(
        label="Time zone", choices=list(ZONES.items()), initial="UTC", required=False
    )
    exceptions = forms.CharField(
        label="But not for these models",
        help_text="Names with commas between. Nobody grants an exception elsewhere.",
        max_length=500,
        required=False,
    )

    def clean(self) -> dict[str, Any]:
        """Add the window as `freeze`; none for an empty row."""
        values = super().clean() or {}
        if self.errors or self._is_empty(values):
            return values
        dated = values.get("starts_at") and values.get("ends_at")
        weekly = all(values.get(name) for name in ("starts_day", "ends_day")) and None not in (
            values.get("starts_time"),
            values.get("ends_time"),
        )
        if bool(dated) == bool(weekly):
            raise forms.ValidationError(
                "Give two dates with their times, or two weekdays with their times."
            )
        try:
            values["freeze"] = Freeze(
                words=values.get("words", ""),
                starts=_moment(values, "starts", bool(dated)),
                ends=_moment(values, "ends", bool(dated)),
                zone=values["zone"] or "UTC",
                exceptions=tuple(
                    name.strip() for name in values["exceptions"].split(",") if name.strip()
                ),
            )
        except BadFreeze as error:
            raise forms.ValidationError(str(error)) from error
        return values

    @staticmethod
    def _is_empty(values: dict[str, Any]) -> bool:
        return not any(value for name, value in values.items() if name != "zone")

    @staticmethod
    def initial_of(freeze: Freeze) -> dict[str, object]:
        """Return what a row shows for a window as it is."""
        found: dict[str, object] = {
            "words": freeze.words,
            "zone": freeze.zone,
            "exceptions": ", ".join(freeze.exceptions),
        }
        for name, text in (("starts", freeze.starts), ("ends", freeze.ends)):
            if freeze.is_weekly:
                found[f"{name}_day"], found[f"{name}_time"] = text.split()
            else:
                found[f"{name}_at"] = text
        return found


def _moment(values: dict[str, Any], name: str, is_dated: bool) -> str:
    """Return one end of a window as it is kept, in the clock of its own zone."""
    if is_dated:
        moment: datetime = values[f"{name}_at"]
        return f"{moment:{MOMENT}}"
    return f"{values[f'{name}_day']} {values[f'{name}_time']:%H:%M}"


FreezeFormSet = forms.formset_factory(
    FreezeForm, extra=EMPTY_FREEZES, max_num=MOST_FREEZES, validate_max=True
)


def freezes_of(rows: Any) -> list[Freeze]:
    """Return the windows of the rows. Call it after is_valid()."""
    return [row.cleaned_data["freeze"] for row in rows if row.cleaned_data.get("freeze")]
