"""What lists of nodes are narrowed by."""

import django_filters

from apps.common.filters import Before, Filters, Since, YesOrNo


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
