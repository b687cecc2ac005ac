"""What a person types when proposing or deciding. Parsing only; the rules are in actions.py."""

from typing import Any

from django import forms

from apps.common.reasons import ReasonForm
from apps.manifests.scaling import DAYS, pre_warm_of
from apps.promotions.actions import Seen
from apps.promotions.dossier import digest_shown
from apps.promotions.models import Promotion, ServingClass
from apps.promotions.settings.forms import SettingsForm

CLOCK = forms.TimeInput(format="%H:%M", attrs={"type": "time"})


class ProposalForm(SettingsForm):
    """Why this version should serve, what it does while nobody calls, and its serving settings."""

    justification = forms.CharField(
        label="Why should this version serve?",
        help_text="The reviewer reads this beside the figures. Two sentences are enough.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )
    serving_class = forms.ChoiceField(
        label="While nobody calls",
        choices=ServingClass.choices,
        initial=ServingClass.WARM,
        required=False,
    )
    ready_days = forms.ChoiceField(
        label="Days",
        choices=[
            ("", "None: only a call wakes it"),
            *((key, words[0]) for key, words in DAYS.items()),
        ],
        required=False,
    )
    ready_from = forms.TimeField(label="From", widget=CLOCK, required=False)
    ready_to = forms.TimeField(
        label="To",
        widget=CLOCK,
        required=False,
        help_text="Earlier than the beginning: on the next day.",
    )
    ready_zone = forms.CharField(
        label="Time zone", max_length=60, required=False, help_text="Such as America/New_York."
    )

    without_traffic = forms.BooleanField(
        label="May continue if too few calls arrive to compare it",
        help_text="Otherwise its rollout holds there, and somebody else decides. The reviewer sees "
        "this choice.",
        required=False,
    )

    def clean_serving_class(self) -> str:
        """Return the choice; warm where none was made."""
        return self.cleaned_data["serving_class"] or ServingClass.WARM

    def clean(self) -> dict[str, Any]:
        """Refuse hours that are not whole, where days were chosen for a version that sleeps."""
        values = self.cleaned_data
        if self._has_hours() and not (
            values.get("ready_from") and values.get("ready_to") and values.get("ready_zone")
        ):
            self.add_error("ready_days", "Say from when to when, and in which time zone.")
        return values

    def _has_hours(self) -> bool:
        values = self.cleaned_data
        return values.get("serving_class") == ServingClass.SCALE_TO_ZERO and bool(
            values.get("ready_days")
        )

    def wish(self) -> dict[str, Any]:
        """Return what was typed, as actions.request_promotion takes it. Call it after
        is_valid().
        """
        values = self.cleaned_data
        hours = "{ready_days} {ready_from:%H:%M}-{ready_to:%H:%M} {ready_zone}"
        return {
            "justification": values["justification"],
            "serving_class": values["serving_class"],
            "pre_warm": hours.format(**values) if self._has_hours() else "",
            "settings": self.settings(),
            "without_traffic": values["without_traffic"],
        }

    @staticmethod
    def suggested(hours: str) -> dict[str, object]:
        """Return what the form shows for hours that a setting suggests; the days are left to be
        chosen.
        """
        if not hours:
            return {}
        found = pre_warm_of(hours)
        return {"ready_from": found.start, "ready_to": found.end, "ready_zone": found.timezone}


class DecisionForm(ReasonForm):
    """A reason, and the evidence that was on the page."""

    manifest_digest = forms.CharField(widget=forms.HiddenInput, max_length=71)
    eval_run = forms.CharField(widget=forms.HiddenInput, max_length=36)
    baseline = forms.IntegerField(widget=forms.HiddenInput, required=False)
    # the digest of every figure on the page
    figures = forms.CharField(widget=forms.HiddenInput, max_length=71)
    # of the exact change; the page adds it once the change was shown
    change = forms.CharField(max_length=71, required=False)

    @classmethod
    def of(cls, promotion: Promotion, shown: dict[str, Any]) -> "DecisionForm":
        """Return the form for a page that shows this evidence of a promotion."""
        evidence = {
            "manifest_digest": promotion.manifest_digest,
            "eval_run": promotion.eval_run_id,
            "baseline": promotion.baseline_id,
            "figures": digest_shown(shown),
        }
        return cls(initial=evidence)

    def seen(self) -> Seen:
        """Return the evidence. Call it after is_valid()."""
        values = self.cleaned_data
        figures = values["figures"]
        return Seen(values["manifest_digest"], values["eval_run"], values["baseline"], figures)
