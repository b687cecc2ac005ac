"""What lists of proposed rules are narrowed by."""

import django_filters

from apps.accounts.pipelines.models import PipelineChange
from apps.common.filters import Before, Filters, Since


class ChangeQuery(Filters):
    """For programs: proposed rules of a pipeline, by state, by whom, from when."""

    name = django_filters.CharFilter()
    status = django_filters.ChoiceFilter(choices=PipelineChange.Status.choices)
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
