"""What sizing suggests that a version is served with, for the form of a proposal."""

from collections.abc import Mapping
from datetime import datetime

from apps.catalog.models import ModelVersion
from apps.catalog.sizing import queries
from apps.catalog.sizing.fits import answer
from apps.catalog.sizing.forms import LoadForm
from apps.catalog.sizing.suggestions import suggest
from apps.fleet.pricing.offers import machines
from apps.manifests.serving_settings import ServingSettings


def suggested(
    version: ModelVersion, query: Mapping[str, str], now: datetime
) -> ServingSettings | None:
    """Return the settings of the cheapest way to serve the load that an address names; None where
    it names none, or nothing serves it. About seven queries, none without a load.
    """
    form = LoadForm(query)
    if "context" not in query or not form.is_valid():
        return None
    shape = queries.shape_of(version)
    if shape is None:
        return None
    load = form.load()
    return suggest(answer(queries.known(shape, version), load, machines(now)), load)
