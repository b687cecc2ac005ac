"""Why somebody decided or ordered something: the one field that every such form and API body has.
Its bounds stand here once.
"""

from typing import Any

from django import forms
from rest_framework import serializers

SHORTEST, LONGEST = 3, 1000  # characters


class ReasonForm(forms.Form):
    """A reason, which is kept in the record."""

    reason = forms.CharField(
        label="Reason",
        help_text="It is kept in the audit record.",
        widget=forms.Textarea(attrs={"rows": 2}),
        min_length=SHORTEST,
        max_length=LONGEST,
    )


class ReasonInput(serializers.Serializer[Any]):
    """Body of a decision, or of an order that needs a reason."""

    reason = serializers.CharField(min_length=SHORTEST, max_length=LONGEST)


def reason_of(body: object) -> str:
    """Return the reason in a request's body. Raises ValidationError."""
    found = ReasonInput(data=body)
    found.is_valid(raise_exception=True)
    return str(found.validated_data["reason"])
