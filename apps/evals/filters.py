"""What lists of evaluation runs are narrowed by."""

import django_filters

from apps.common.filters import Before, Filters, Since, WholeNumber
from apps.evals.models import EvalRun, EvalSuite


class SuiteQuery(Filters):
    """For programs: which suites' revisions."""

    slug = django_filters.CharFilter()
    status = django_filters.ChoiceFilter(choices=EvalSuite.Status.choices)
    digest = django_filters.CharFilter()


class PacketQuery(Filters):
    """For programs: which packets of a suite."""

    id = django_filters.CharFilter(field_name="packet_id")


class RunFilters(Filters):
    """For the page of runs."""

    status = django_filters.ChoiceFilter(
        label="State", choices=EvalRun.Status.choices, empty_label="Any state"
    )


class RunQuery(RunFilters):
    """For programs: also of what, whose, from when."""

    model = django_filters.CharFilter(field_name="model_version__registered_model__name")
    version = WholeNumber(field_name="model_version__number")
    requested_by = django_filters.CharFilter(field_name="requested_by__username")
    requested_since = Since("requested_at")
    requested_before = Before("requested_at")
