"""What lists of incidents are narrowed by."""

import django_filters

from apps.common.filters import Before, Filters, Since
from apps.incidents.models import Episode


class EpisodeFilters(Filters):
    """For the page of incidents."""

    status = django_filters.ChoiceFilter(
        label="State", choices=Episode.Status.choices, empty_label="Any state"
    )
    kind = django_filters.ChoiceFilter(
        label="Kind", choices=Episode.Kind.choices, empty_label="Any kind"
    )


class EpisodeQuery(EpisodeFilters):
    """For programs: also of what, from when."""

    model = django_filters.CharFilter(field_name="model_version__registered_model__name")
    opened_since = Since("opened_at")
    opened_before = Before("opened_at")
