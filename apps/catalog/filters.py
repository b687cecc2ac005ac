"""What lists of models and of their versions are narrowed by."""

import django_filters

from apps.catalog.models import DataClass, ModelVersion
from apps.common.filters import Before, Filters, Since


class ModelQuery(Filters):
    """For programs: what a model is for and whose it is."""

    task = django_filters.CharFilter()
    family = django_filters.CharFilter()
    license = django_filters.CharFilter()
    data_class = django_filters.ChoiceFilter(choices=DataClass.choices)
    team = django_filters.CharFilter(field_name="owner_team__slug")
    created_since = Since("created_at")
    created_before = Before("created_at")


class VersionQuery(Filters):
    """For programs: how far a version is, and from when it is."""

    status = django_filters.ChoiceFilter(choices=ModelVersion.Status.choices)
    created_since = Since("created_at")
    created_before = Before("created_at")
