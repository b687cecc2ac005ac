"""What the portal says of every model: whom its callers are sent to, and who may call how much."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from apps.access.models import Grant
from apps.catalog.models import RegisteredModel
from apps.gateway.effective.compare import Declared
from apps.promotions.models import Rollout


def of_models(models: Iterable[RegisteredModel], now: datetime) -> dict[int, Declared]:
    """Return model → what the portal says of it; two queries, however many models."""
    keys = [model.pk for model in models]
    limits: defaultdict[int, dict[str, int]] = defaultdict(dict)
    grants = Grant.objects.active(now).filter(registered_model__in=keys).order_by()
    for key, team, limit in grants.values_list(
        "registered_model_id", "team__slug", "tokens_per_minute"
    ):
        limits[key][team] = limit
    weights = _weights(keys)
    return {key: Declared(weights.get(key, {}), limits.get(key, {})) for key in keys}


def _weights(keys: list[int]) -> dict[int, dict[str, int]]:
    """Return model → version → percent of its callers: what a rollout under way has, and the rest
    to what is live.
    """
    statuses = (Rollout.Status.LIVE, Rollout.Status.FAILED, *Rollout.OPEN)
    rows = Rollout.objects.filter(registered_model__in=keys, status__in=statuses)
    rows = rows.select_related("model_version__registered_model").order_by("started_at")
    found: dict[int, dict[str, int]] = {}
    live: dict[int, str] = {}
    moving: dict[int, tuple[str, int]] = {}
    for row in rows:
        if row.status == Rollout.Status.LIVE:
            live[row.registered_model_id] = row.model_version.name
        elif row.weight:
            moving[row.registered_model_id] = (row.model_version.name, row.weight)
    for key in {*live, *moving}:
        name, weight = moving.get(key, ("", 0))
        shares = {name: weight, live.get(key, ""): 100 - weight}
        found[key] = {each: share for each, share in shares.items() if each and share}
    return found
