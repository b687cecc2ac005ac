"""What lists of policy changes are narrowed by."""

import django_filters

from apps.catalog.models import DataClass
from apps.common.filters import Before, Filters, Since
from apps.promotions.policy.models import PolicyChange


class ChangeQuery(Filters):
    """For programs: changes of a data class's policy, by state, by whom, from when."""

    data_class = django_filters.ChoiceFilter(choices=DataClass.choices)
    status = django_filters.ChoiceFilter(choices=PolicyChange.Status.choices)
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
