"""What a person types when asking for an erasure. Parsing only."""

from django import forms

from apps.prompts.holds.forms import WhyForm
from apps.prompts.subjects import SubjectKind

KINDS = [(one.value, one.label) for one in (SubjectKind.MEMBER, SubjectKind.CASE)]


class ErasureForm(WhyForm):
    """Who is to be forgotten, and why."""

    kind = forms.ChoiceField(label="Erase everything of a", choices=KINDS)
    name = forms.CharField(
        label="Which",
        max_length=200,
        help_text="The key as callers send it. It is hashed at once and kept nowhere.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    field_order = ("kind", "name", "justification")
