"""What a person types when placing a hold, or asking that one be lifted. Parsing only."""

from django import forms

from apps.prompts.holds.models import Scope


class HoldForm(forms.Form):
    """What is kept, and for which matter."""

    scope = forms.ChoiceField(label="Keep everything of", choices=Scope.choices)
    name = forms.CharField(
        label="Which",
        max_length=200,
        help_text="The member’s or case’s key as callers send it: it is hashed at once and kept "
        "nowhere. Or the team’s short name, or the call’s request id.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    matter = forms.CharField(
        label="Matter",
        min_length=3,
        max_length=80,
        help_text="Its number, such as 2026-17. No names: it is kept in the audit record.",
    )


class WhyForm(forms.Form):
    """Why something is asked for."""

    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record. No names of members.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )
