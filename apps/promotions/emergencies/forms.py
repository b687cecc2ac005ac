"""The form by which a platform engineer rolls a version forward in an emergency."""

from django import forms

from apps.promotions.emergencies.actions import LONGEST, SHORTEST


class EmergencyForm(forms.Form):
    """The emergency, in the engineer's words."""

    statement = forms.CharField(
        label="What is the emergency?",
        help_text="What is broken for whom, and why it cannot wait for an approval. It is kept in "
        "the audit record and written into the emergency change, so name no member.",
        widget=forms.Textarea(attrs={"rows": 4}),
        min_length=SHORTEST,
        max_length=LONGEST,
    )
    # of the exact change; the page adds it once the change was shown
    change = forms.CharField(max_length=71, required=False, widget=forms.HiddenInput)
