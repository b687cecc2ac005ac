"""What somebody takes evidence of."""

from datetime import date, datetime
from typing import Any, cast

from django import forms

from apps.promotions.models import Promotion

NEWEST = 200  # promotions that the form offers; older ones are asked for from their events


class AskForm(forms.Form):
    """One promotion, or one month as YYYY-MM."""

    promotion = forms.ModelChoiceField(
        queryset=Promotion.objects.none(), required=False, help_text="Or a month instead, below."
    )
    month = forms.CharField(
        label="Month",
        required=False,
        max_length=7,
        help_text="As 2026-11. Of the present month: what there is so far.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        every = Promotion.objects.select_related("model_version__registered_model")
        newest = every.order_by("-requested_at")[:NEWEST]
        field = cast("forms.ModelChoiceField[Promotion]", self.fields["promotion"])
        # what is sent may be any of them, whatever is offered
        field.queryset = every
        field.choices = [("", "None"), *((str(one.pk), _label(one)) for one in newest)]

    def clean_month(self) -> date | None:
        """Return the month's first day."""
        text = self.cleaned_data["month"]
        if not text:
            return None
        try:
            return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
        except ValueError:
            raise forms.ValidationError("Write a month as 2026-11.") from None

    def clean(self) -> dict[str, object]:
        """Refuse both at once, and neither."""
        found: dict[str, object] = super().clean() or {}
        if not self.errors and bool(found.get("promotion")) == bool(found.get("month")):
            raise forms.ValidationError("Choose a promotion or a month: one of the two.")
        return found


def _label(promotion: Promotion) -> str:
    state = promotion.get_status_display()
    return f"{promotion.model_version}, {state}, {promotion.requested_at:%d %b %Y}"
