"""What lists of prices are narrowed by."""

import django_filters
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from apps.chargeback.models import PriceChange
from apps.common.filters import Before, Filters, Since, YesOrNo


class RateQuery(Filters):
    """For programs: the prices of a model, in force or not, from when."""

    model = django_filters.CharFilter(field_name="registered_model__name")
    active = YesOrNo(method="in_force")
    active_since = Since("active_from")
    active_before = Before("active_from")

    def in_force(
        self, rows: QuerySet[PriceChange], name: str, is_wanted: bool
    ) -> QuerySet[PriceChange]:
        """Keep the price lists that are in force now, or those that are not."""
        moment = now()
        reaching = Q(active_to__isnull=True) | Q(active_to__gt=moment)
        in_force = Q(active_from__lte=moment) & reaching
        return rows.filter(in_force if is_wanted else ~in_force)


class ChangeQuery(Filters):
    """For programs: proposals of a model, by state, by whom, from when."""

    model = django_filters.CharFilter(field_name="registered_model__name")
    status = django_filters.ChoiceFilter(choices=PriceChange.Status.choices)
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
