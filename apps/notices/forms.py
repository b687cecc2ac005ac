"""What people choose about notices. Parsing only."""

from collections.abc import Mapping
from typing import Any

from django import forms

from apps.integrations.webhooks.addresses import MOST_CHARACTERS
from apps.notices.models import ByEmail, Kind


class ChoicesForm(forms.Form):
    """How each kind comes by e-mail: one choice for each."""

    def __init__(self, *args: Any, chosen: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for kind in Kind:
            self.fields[kind.value] = forms.ChoiceField(
                label=kind.label,
                choices=ByEmail.choices,
                initial=chosen[kind],
                widget=forms.RadioSelect,
            )


class KindsForm(forms.Form):
    """Which kinds of notices are posted."""

    kinds = forms.MultipleChoiceField(
        label="Which notices",
        choices=Kind.choices,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one kind of notice."},
    )


class WebhookForm(KindsForm):
    """A new webhook."""

    url = forms.CharField(
        label="Address",
        max_length=MOST_CHARACTERS,
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="It gets a POST with JSON, signed as Standard Webhooks has it.",
        error_messages={"required": "Write the address that is to be called."},
    )
    field_order = ("url", "kinds")
