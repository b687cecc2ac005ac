"""What lists of notices are narrowed by."""

import django_filters
from django.db.models import QuerySet

from apps.common.filters import Before, Filters, Since
from apps.notices.models import Kind, Notice

NEW, READ = "new", "read"


class NoticeFilters(Filters):
    """For the page."""

    state = django_filters.ChoiceFilter(
        label="State",
        choices=((NEW, "New"), (READ, "Read")),
        method="in_state",
        empty_label="Any state",
    )
    kind = django_filters.ChoiceFilter(label="About", choices=Kind.choices, empty_label="Anything")

    def in_state(self, rows: QuerySet[Notice], name: str, wanted: str) -> QuerySet[Notice]:
        """Keep those that are new, or those that were read."""
        return rows.filter(read_at__isnull=wanted == NEW)


class NoticeQuery(NoticeFilters):
    """For programs: also from when."""

    told_since = Since("told_at")
    told_before = Before("told_at")
