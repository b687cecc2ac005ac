"""What the gateway's guard blocked lately that somebody should look into: instructions that were
slipped into a prompt, and answers that would have let something out.

It is told by model, since that is what the incident is about: which rule, and in how many calls.
Whose calls they were is on the page of hits, for those who may see it.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from django.db.models import Count, Q

from apps.catalog.models import ModelVersion
from apps.common.counts import counted, sentence
from apps.gateway.gate.steps import Does
from apps.gateway.guard.models import GuardHit
from apps.gateway.guard.rules import Phase, Provider
from apps.promotions.models import Rollout

LASTS = timedelta(minutes=15)
_INJECTED = Q(phase=Phase.REQUEST.value, provider=Provider.PROMPT_INJECTION.value)
_LEAKED = Q(phase=Phase.ANSWER.value)


def blocked(now: datetime) -> list[tuple[ModelVersion, str]]:
    """Return the versions that serve whose calls the guard blocked lately, each with what it
    blocked, in words. One query where it blocked nothing, two otherwise.
    """
    rows = (
        GuardHit.objects.finds()
        .filter(_INJECTED | _LEAKED, does=Does.BLOCK.value, at__gt=now - LASTS)
        .order_by()
        .values("model", "phase", "rule")
        .annotate(calls=Count("call", distinct=True))
    )
    found: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["phase"], row["rule"])):
        found[row["model"]].append(_words(row["phase"], row["rule"], row["calls"]))
    if not found:
        return []
    live = Rollout.objects.filter(
        status=Rollout.Status.LIVE, registered_model__name__in=found
    ).select_related("model_version__registered_model")
    return [
        (rollout.model_version, sentence(found[rollout.model_version.registered_model.name]))
        for rollout in live
    ]


def _words(phase: str, rule: str, calls: int) -> str:
    many = counted(calls, "call", "calls")
    if phase == Phase.ANSWER:
        return f"the guard's rule {rule} stopped the answers of {many}"
    return f"the guard's rule {rule} refused {many} with injected instructions"
