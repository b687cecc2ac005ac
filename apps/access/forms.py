"""What a person types when asking for access. Parsing only; the rules are in actions.py."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.timezone import now

from apps.access.actions import HIGHEST_TOKENS_PER_MINUTE, LONGEST_GRANT, Wish
from apps.catalog.models import DataClass


class AccessRequestForm(forms.Form):
    """Purpose, data class, expected work, limits."""

    purpose = forms.CharField(
        label="What will your team do with it?",
        help_text="The owner decides on this. Two sentences are enough.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )
    data_class = forms.ChoiceField(
        label="Most sensitive data you will send",
        choices=DataClass.choices,
        help_text="Never more than you need.",
    )
    tokens_per_minute = forms.IntegerField(
        label="Tokens per minute",
        help_text="Input and output together. Calls above it are refused until the minute ends.",
        min_value=1,
        max_value=HIGHEST_TOKENS_PER_MINUTE,
        initial=20_000,
    )
    monthly_budget_usd = forms.DecimalField(
        label="Monthly budget (USD)",
        help_text="Shown against use. Not enforced yet: calls go on when it is spent.",
        min_value=1,
        max_digits=12,
        decimal_places=2,
        initial=100,
    )
    expires_date = forms.DateField(
        label="Access ends on",
        help_text="At the start of that day, UTC. At most a year from now.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        today = now().date()
        self.fields["expires_date"].initial = today + timedelta(days=90)
        bounds = {"min": today + timedelta(days=1), "max": today + LONGEST_GRANT}
        self.fields["expires_date"].widget.attrs.update(
            {key: day.isoformat() for key, day in bounds.items()}
        )

    def wish(self) -> Wish:
        """Return the wish. Call it after is_valid()."""
        return Wish(**self.cleaned_data)
