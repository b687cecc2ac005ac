"""What the playground sends. Parsing only."""

from typing import Any

from django import forms
from django.core.validators import MaxValueValidator


class PlaygroundForm(forms.Form):
    """One question to a model. The text goes to the gateway and is kept nowhere."""

    prompt = forms.CharField(
        label="Your message",
        widget=forms.Textarea(attrs={"rows": 8}),
        max_length=100_000,
        help_text="Sent through the gateway as you. The portal keeps neither this text nor the "
        "answer.",
    )
    max_tokens = forms.IntegerField(label="Longest answer (tokens)", min_value=1, initial=200)
    temperature = forms.FloatField(
        label="Temperature",
        min_value=0,
        max_value=2,
        initial=0,
        help_text="0 gives the same answer every time.",
    )

    def __init__(self, *args: Any, context_length: int, **more: Any) -> None:
        """Take the model's context length, in tokens: message and answer share it."""
        super().__init__(*args, **more)
        most = max(context_length - 1, 1)
        field = self.fields["max_tokens"]
        field.initial = min(200, most)
        field.validators.append(MaxValueValidator(most, f"This model takes at most {most:,}."))
        field.widget.attrs["max"] = most
        field.help_text = f"1 to {most:,}; message and answer share {context_length:,} tokens."
