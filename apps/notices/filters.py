"""What the list of notices is narrowed by."""

import django_filters
from django.db.models import QuerySet

from apps.common.filters import Filters, YesOrNo
from apps.notices.models import Kind, Notice


class NoticeFilters(Filters):
    """For the page."""

    kind = django_filters.ChoiceFilter(label="About", choices=Kind.choices, empty_label="Anything")
    unread = YesOrNo(label="Unread", method="is_unread")

    def is_unread(self, rows: QuerySet[Notice], name: str, is_wanted: bool) -> QuerySet[Notice]:
        """Keep those that are not read yet, or those that are."""
        return rows.filter(read_at__isnull=is_wanted)
