"""What lists of capacity requests are narrowed by."""

import django_filters

from apps.capacity.models import CapacityRequest
from apps.common.filters import Before, Filters, Since

Status = CapacityRequest.Status


class RequestFilters(Filters):
    """For the page of requests."""

    status = django_filters.ChoiceFilter(
        label="State", choices=Status.choices, empty_label="Any state"
    )


class RequestQuery(RequestFilters):
    """For programs: also which pool, whose, from when."""

    pool = django_filters.CharFilter()
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
