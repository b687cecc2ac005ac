"""Which models use up their error budget too fast now, and whether people are paged, and rollouts
held, for it. The figures are the objectives' own (apps/slo); here they become one matter a model.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from apps.catalog.models import ModelVersion, RegisteredModel
from apps.common.counts import sentence
from apps.promotions.models import Rollout
from apps.slo.burn import Health
from apps.slo.models import Objective
from apps.slo.queries import burning
from apps.slo.words import burning_words


@dataclass(frozen=True)
class Burn:
    """A model whose budget burns. version: that serves, or served last. words: which of its
    objectives burn, and how. is_page: people are paged; holds: its rollouts are to be held.
    """

    model: RegisteredModel
    version: ModelVersion
    words: str
    is_page: bool
    holds: bool


def burns(now: datetime) -> list[Burn]:
    """Return the models whose budget burns, as one matter each. One query where none does, three
    otherwise. A model that never had a version is not there.
    """
    found = burning(now)
    if not found:
        return []
    versions = _versions({one.registered_model_id for one in found})
    grouped = groupby(found, key=lambda one: one.registered_model)
    return [
        _burn(model, versions[model.pk], list(theirs))
        for model, theirs in grouped
        if model.pk in versions
    ]


def _burn(model: RegisteredModel, version: ModelVersion, found: list[Objective]) -> Burn:
    fast = [one for one in found if one.standing.health == Health.PAGE]
    # the same objective over two windows is one thing to say
    said = dict.fromkeys(burning_words(one, one.standing) for one in found)
    return Burn(
        model=model,
        version=version,
        words=sentence(list(said)),
        is_page=bool(fast),
        holds=any(one.holds_rollouts for one in fast),
    )


def _versions(models: Collection[int]) -> dict[int, ModelVersion]:
    """Return model id → the version that serves, or else the newest; two queries."""
    related = "registered_model"
    newest = ModelVersion.objects.filter(registered_model__in=models).select_related(related)
    found = {one.registered_model_id: one for one in newest.order_by("number")}
    live = Rollout.objects.live().filter(registered_model__in=models)
    for rollout in live.select_related("model_version__registered_model"):
        found[rollout.registered_model_id] = rollout.model_version
    return found
