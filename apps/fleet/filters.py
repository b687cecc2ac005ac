"""What lists of nodes, claims and replicas are narrowed by."""

import django_filters
from django.db.models import QuerySet

from apps.common.filters import Before, Filters, Since, YesOrNo
from apps.fleet import words
from apps.fleet.models import NodeClaim, Replica
from apps.manifests.capacity import CAPACITY_TYPES


class NodeQuery(Filters):
    """For programs: which machines, of which pool, in which state."""

    node_pool = django_filters.CharFilter()
    instance_type = django_filters.CharFilter()
    zone = django_filters.CharFilter()
    capacity_type = django_filters.CharFilter()
    is_ready = YesOrNo()
    is_unschedulable = YesOrNo()
    created_since = Since("created_at")
    created_before = Before("created_at")


class KindFilter(django_filters.ChoiceFilter):
    """Which kind of machine, in people's words."""

    def __init__(self, field_name: str = "capacity_type") -> None:
        choices = [(kind, words.capacity_type(kind)) for kind in CAPACITY_TYPES]
        super().__init__(
            field_name=field_name, label="Kind", choices=choices, empty_label="Any kind"
        )


class NodeFilters(Filters):
    """For the page of nodes, whose rows are tables.NodeLine."""

    kind = KindFilter("node.capacity_type")


class ClaimFilters(Filters):
    """For the page of claims."""

    kind = KindFilter()
    state = django_filters.ChoiceFilter(
        label="State",
        choices=[("present", "There now"), ("ended", "Ended")],
        empty_label="Any state",
        method="in_state",
    )

    def in_state(self, rows: QuerySet[NodeClaim], name: str, state: str) -> QuerySet[NodeClaim]:
        """Keep the claims that are there, or those that have ended."""
        return rows.filter(ended_at__isnull=state == "present")


class ReplicaFilters(Filters):
    """For the page of replicas, which shows those that are there unless one of these is chosen."""

    state = django_filters.ChoiceFilter(
        label="Which",
        choices=[("ended", "Ended"), ("all", "Now and before")],
        empty_label="Now",
        method="in_state",
    )

    def in_state(self, rows: QuerySet[Replica], name: str, state: str) -> QuerySet[Replica]:
        """Keep all, or those that have ended."""
        return rows.filter(ended_at__isnull=False) if state == "ended" else rows
