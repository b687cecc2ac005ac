"""The color of each model on every chart: models take the hues in the order in which they were
registered, so that a model keeps its color and the first eight never share one.
"""

from collections.abc import Mapping

from apps.catalog.models import RegisteredModel


def hues() -> Mapping[str, int]:
    """Return each model's hue by its name, from 0; past the eighth, a chart dashes the line as
    well. One query.
    """
    names = RegisteredModel.objects.order_by("created_at", "name").values_list("name", flat=True)
    return {name: place for place, name in enumerate(names)}
