"""What the playground sends. Parsing only."""

from django import forms


class PlaygroundForm(forms.Form):
    """One question to a model. The text goes to the gateway and is kept nowhere."""

    prompt = forms.CharField(
        label="Your message",
        widget=forms.Textarea(attrs={"rows": 8}),
        max_length=100_000,
        help_text="Sent through the gateway as you. The portal keeps neither this text nor the "
        "answer.",
    )
    max_tokens = forms.IntegerField(
        label="Longest answer (tokens)",
        min_value=1,
        max_value=4096,
        initial=200,
        help_text="1 to 4,096.",
    )
    temperature = forms.FloatField(
        label="Temperature",
        min_value=0,
        max_value=2,
        initial=0,
        help_text="0 answers the same each time.",
    )
