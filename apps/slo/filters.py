"""What lists of objectives are narrowed by."""

import django_filters

from apps.common.filters import Filters
from apps.slo.burn import Health, Kind
from apps.slo.models import Window


class ObjectiveFilters(Filters):
    """For the page of objectives."""

    health = django_filters.ChoiceFilter(
        field_name="standing__health",
        label="State",
        choices=Health.choices,
        empty_label="Any state",
    )
    kind = django_filters.ChoiceFilter(label="About", choices=Kind.choices, empty_label="Anything")
    window = django_filters.ChoiceFilter(
        label="Window", choices=Window.choices, empty_label="Any window"
    )


class ObjectiveQuery(ObjectiveFilters):
    """For programs: also of what."""

    model = django_filters.CharFilter(field_name="registered_model__name")
