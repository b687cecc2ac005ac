"""What a person types when proposing or deciding. Parsing only; the rules are in actions.py."""

from django import forms

from apps.promotions.actions import Seen
from apps.promotions.models import Promotion, ServingClass


class ProposalForm(forms.Form):
    """Why this version should serve."""

    justification = forms.CharField(
        label="Why should this version serve?",
        help_text="The reviewer reads this beside the figures. Two sentences are enough.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )
    serving_class = forms.ChoiceField(
        label="While nobody calls", choices=ServingClass.choices, initial=ServingClass.WARM, required=False
    )

    def clean_serving_class(self) -> str:
        """Return the choice; warm where none was made."""
        return self.cleaned_data["serving_class"] or ServingClass.WARM


class DecisionForm(forms.Form):
    """A reason, and the evidence that was on the page."""

    reason = forms.CharField(
        label="Reason",
        help_text="It is kept in the audit record, with the evidence shown here.",
        widget=forms.Textarea(attrs={"rows": 2}),
        min_length=3,
        max_length=1000,
    )
    manifest_digest = forms.CharField(widget=forms.HiddenInput, max_length=71)
    eval_run = forms.CharField(widget=forms.HiddenInput, max_length=36)
    baseline = forms.IntegerField(widget=forms.HiddenInput, required=False)

    @classmethod
    def of(cls, promotion: Promotion) -> "DecisionForm":
        """Return the form for a page that shows this promotion."""
        evidence = {
            "manifest_digest": promotion.manifest_digest,
            "eval_run": promotion.eval_run_id,
            "baseline": promotion.baseline_id,
        }
        return cls(initial=evidence)

    def seen(self) -> Seen:
        """Return the evidence. Call it after is_valid()."""
        values = self.cleaned_data
        return Seen(values["manifest_digest"], values["eval_run"], values["baseline"])


class ReasonForm(forms.Form):
    """Why somebody steered a rollout: kept in the record."""

    reason = forms.CharField(label="Reason", min_length=3, max_length=1000)
