"""Form fields for what Karpenter keeps as strings: lengths of time, and the zone of a time."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.manifests import durations

NEVER = durations.NEVER
UNIT_WORDS = {"s": "seconds", "m": "minutes", "h": "hours", NEVER: "never"}
MOST = 100_000


class LengthWidget(forms.MultiWidget):
    """A number and its unit, side by side. The label is the number's."""

    def __init__(self, units: Iterable[str]) -> None:
        choices = [(unit, UNIT_WORDS[unit]) for unit in units]
        super().__init__(
            [
                forms.NumberInput(attrs={"min": 0}),
                forms.Select(choices=choices, attrs={"aria-label": "Unit"}),
            ]
        )

    def id_for_label(self, id_: str) -> str:
        """Return the id of the number."""
        return f"{id_}_0" if id_ else ""

    def decompress(self, value: str) -> list[Any]:
        """Return the number and the unit of a length; no number for one that there is not."""
        if value == NEVER:
            return [None, NEVER]
        return (
            list(durations.in_one_unit(value)) if durations.is_duration(value or "") else ["", "h"]
        )

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        """Show both in one line."""
        return format_html('<div class="field-unit">{}</div>', super().render(*args, **kwargs))


class LengthField(forms.MultiValueField):
    """A length of time, "90m" where it is cleaned; "" where it may be empty and is."""

    def __init__(self, *, units: Iterable[str], **kwargs: Any) -> None:
        units = tuple(units)
        super().__init__(
            fields=(
                forms.IntegerField(min_value=0, max_value=MOST, required=False),
                forms.ChoiceField(choices=[(unit, unit) for unit in units], required=False),
            ),
            widget=LengthWidget(units),
            require_all_fields=False,
            initial="",
            **kwargs,
        )

    def compress(self, data_list: list[Any]) -> str:
        """Return the length as Karpenter writes it."""
        number, unit = data_list or (None, "")
        if unit == NEVER:
            return NEVER
        if number is None:
            if self.required:
                raise forms.ValidationError("Say how long: a number and its unit.")
            return ""
        return f"{number}{unit or 'h'}"


def ahead_of_utc(zone: str, now: datetime) -> timedelta:
    """Return how far the clocks of one of ZONES are ahead of UTC now."""
    return now.astimezone(ZoneInfo(zone or "UTC")).utcoffset() or timedelta()
