"""What lists of promotions are narrowed by."""

import django_filters

from apps.common.filters import Before, Filters, Since, WholeNumber
from apps.promotions.models import Promotion, ServingClass
from apps.promotions.stages import Stage


class PromotionFilters(Filters):
    """For the page of promotions; its rows are stages.with_stage."""

    stage = django_filters.ChoiceFilter(
        label="State", choices=Stage.choices, empty_label="Any state"
    )


class PromotionQuery(PromotionFilters):
    """For programs: also what was decided, of what, whose, from when."""

    status = django_filters.ChoiceFilter(choices=Promotion.Status.choices)
    model = django_filters.CharFilter(field_name="registered_model__name")
    version = WholeNumber(field_name="model_version__number")
    team = django_filters.CharFilter(field_name="registered_model__owner_team__slug")
    serving_class = django_filters.ChoiceFilter(choices=ServingClass.choices)
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
