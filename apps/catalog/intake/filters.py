"""What lists of requests for new models are narrowed by."""

import django_filters

from apps.catalog.intake.models import ModelIntake
from apps.common.filters import Before, Filters, Since


class IntakeFilters(Filters):
    """For the page of requests."""

    status = django_filters.ChoiceFilter(
        label="State", choices=ModelIntake.Status.choices, empty_label="Any state"
    )


class IntakeQuery(IntakeFilters):
    """For programs: also which model, whose, from when."""

    name = django_filters.CharFilter()
    owner_team = django_filters.CharFilter(field_name="owner_team__slug")
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
