"""What lists of requests and of grants are narrowed by."""

import django_filters
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from apps.access.models import AccessRequest, Grant, ServiceClass
from apps.catalog.models import DataClass
from apps.common.filters import Before, Filters, Since, YesOrNo

Status = AccessRequest.Status


class RequestFilters(Filters):
    """For the page of requests."""

    status = django_filters.ChoiceFilter(
        label="State", choices=Status.choices, empty_label="Any state"
    )
    service_class = django_filters.ChoiceFilter(
        label="Class", choices=ServiceClass.choices, empty_label="Any class"
    )


class RequestQuery(RequestFilters):
    """For programs: also whose, for what, from when."""

    model = django_filters.CharFilter(field_name="registered_model__name")
    team = django_filters.CharFilter(field_name="team__slug")
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    data_class = django_filters.ChoiceFilter(choices=DataClass.choices)
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")


class GrantQuery(Filters):
    """For programs: whose, for what, in force or not, ending when."""

    model = django_filters.CharFilter(field_name="registered_model__name")
    team = django_filters.CharFilter(field_name="team__slug")
    service_class = django_filters.ChoiceFilter(choices=ServiceClass.choices)
    active = YesOrNo(method="in_force")
    ends_since = Since("active_to")
    ends_before = Before("active_to")

    def in_force(self, rows: QuerySet[Grant], name: str, is_wanted: bool) -> QuerySet[Grant]:
        """Keep the grants that are in force now, or those that are not."""
        in_force = Q(pk__in=Grant.objects.active(now()).values("pk"))
        return rows.filter(in_force if is_wanted else ~in_force)
