"""What a person types when naming a reader. Parsing only."""

from django import forms

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import MAY_BE_NAMED_READERS
from apps.common.reasons import ReasonForm
from apps.prompts.reading.actions import MOST_DAYS


class ReaderForm(ReasonForm):
    """Who may read, for how long, and why."""

    reader = forms.ModelChoiceField(
        label="Reviewer", queryset=User.objects.none(), empty_label="Choose a reviewer"
    )
    days = forms.IntegerField(
        label="For how many days",
        min_value=1,
        max_value=MOST_DAYS,
        help_text=f"At most {MOST_DAYS}.",
    )
    field_order = ("reader", "days", "reason")

    def __init__(self, *given: object, **named: object) -> None:
        super().__init__(*given, **named)  # type: ignore[arg-type]  # a form's own
        reviewers = [person.pk for person in holders(*MAY_BE_NAMED_READERS)]
        self.fields["reader"].queryset = User.objects.filter(pk__in=reviewers)  # type: ignore[attr-defined]
