"""What lists of prices are narrowed by."""

import django_filters
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from apps.chargeback.models import Rate
from apps.common.filters import Before, Filters, Since, YesOrNo


class RateQuery(Filters):
    """For programs: the prices of a model, in force or not, from when."""

    model = django_filters.CharFilter(field_name="registered_model__name")
    active = YesOrNo(method="in_force")
    active_since = Since("active_from")
    active_before = Before("active_from")

    def in_force(self, rows: QuerySet[Rate], name: str, is_wanted: bool) -> QuerySet[Rate]:
        """Keep the prices that are in force now, or those that are not."""
        moment = now()
        ended = Q(active_to__lte=moment)
        in_force = Q(active_from__lte=moment) & ~ended
        return rows.filter(in_force if is_wanted else ~in_force)
