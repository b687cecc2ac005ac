"""Filters that several lists have, for the API and for pages alike.

An app's filters.py has two sets for a list: what people narrow its page by, and, made of it, what
programs may ask for. Both read the same parameters and mean the same by them.
"""

from datetime import date
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from apps.common import periods

LAST_DAY = date.max - periods.DAY  # no day follows the calendar's last one


class Filters(django_filters.FilterSet):
    """What a list is narrowed by; every app's sets are made of this."""


class WholeNumber(django_filters.NumberFilter):
    """An integer; "7.5" is refused."""

    field_class = forms.IntegerField


@extend_schema_field(OpenApiTypes.BOOL)
class YesOrNo(django_filters.TypedChoiceFilter):
    """true or false, and nothing else."""

    def __init__(self, **options: Any) -> None:
        choices = (("true", "Yes"), ("false", "No"))
        super().__init__(
            choices=choices, coerce="true".__eq__, help_text="true or false.", **options
        )


class Since(django_filters.IsoDateTimeFilter):
    """At this moment or later."""

    def __init__(self, field_name: str, **options: Any) -> None:
        words = "At this moment or later; UTC where no offset is given."
        super().__init__(field_name=field_name, lookup_expr="gte", help_text=words, **options)


class Before(django_filters.IsoDateTimeFilter):
    """Before this moment."""

    def __init__(self, field_name: str, **options: Any) -> None:
        words = "Before this moment; UTC where no offset is given."
        super().__init__(field_name=field_name, lookup_expr="lt", help_text=words, **options)


def _is_followed(day: date) -> None:
    if day > LAST_DAY:
        raise forms.ValidationError("No day follows it.")


class _Day(django_filters.DateFilter):
    """A day that people choose, in the one zone of periods.py. label: "From" or "To"."""

    def __init__(self, field_name: str, label: str) -> None:
        super().__init__(
            field_name=field_name,
            label=f"{label} ({periods.ZONE_NAME})",
            widget=forms.DateInput({"type": "date"}),
            validators=[_is_followed],
        )


class SinceDay(_Day):
    """On this day or later."""

    def filter(self, qs: QuerySet[Any], value: date | None) -> QuerySet[Any]:
        """Return the rows of the day and after it; all where none is chosen."""
        if value is None:
            return qs
        return qs.filter(**{f"{self.field_name}__gte": periods.start_of_day(value)})


class UntilDay(_Day):
    """On this day or before."""

    def filter(self, qs: QuerySet[Any], value: date | None) -> QuerySet[Any]:
        """Return the rows of the day and before it; all where none is chosen."""
        if value is None:
            return qs
        return qs.filter(**{f"{self.field_name}__lt": periods.end_of_day(value)})
