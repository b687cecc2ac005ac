"""Voiding approvals: what they were over has changed, so they count no more.

Seen at every approval, before a rollout starts, and by a sweep in between. The promotion waits for
reviewers again; where what it bound does not come back, nobody can approve it, and its owner
withdraws it and proposes anew. Once a rollout began nothing is voided: what it commits is compared
step by step instead (writes.py).
"""

from datetime import datetime

from django.db import transaction
from django.urls import reverse

from apps.audit.actions import Actor, System, record
from apps.audit.models import Action
from apps.notices.actions import tell
from apps.notices.models import Kind
from apps.promotions import queries
from apps.promotions.binding.differences import Difference, in_words
from apps.promotions.models import Promotion

WORKER = System("promotions.void_approvals")


@transaction.atomic
def void_if_changed(
    *, promotion: Promotion, now: datetime, actor: Actor = WORKER
) -> list[Difference]:
    """Void the approvals of a promotion whose rollout has not begun, where something changed that
    they were over; return what. One query where nobody approved yet, about fifteen else.
    """
    if not promotion.approvals.counting().exists():
        return []
    # Held first, and asked in a query of its own: whoever had it meanwhile may have begun it.
    list(Promotion.objects.select_for_update().filter(pk=promotion.pk).values("pk"))
    related = ("model_version__registered_model", "policy_revision", "requested_by")
    found = Promotion.objects.undone().select_related(*related).filter(pk=promotion.pk).first()
    if found is None:
        return []
    facts = queries.evidence_for(found.model_version, now, found)
    changed = list(facts.differences or ())
    if changed:
        _void(found, changed, actor, now)
        promotion.refresh_from_db()
    return changed


def _void(promotion: Promotion, changed: list[Difference], actor: Actor, now: datetime) -> None:
    words = in_words(changed)
    given = promotion.approvals.counting()
    data = {
        "reason": words,
        "differences": [each.as_json() for each in changed],
        "approvals": sorted(given.values_list("approver__username", flat=True)),
        "binding": promotion.binding_digest,
    }
    people = [promotion.requested_by, *(row.approver for row in given.select_related("approver"))]
    given.update(voided_at=now, void_reason=words)
    voided = {"voided_at": now, "void_reason": words}
    waits = Promotion.objects.pending().filter(registered_model=promotion.registered_model_id)
    if promotion.status == Promotion.Status.APPROVED and waits.exists():
        # one proposal of a model waits at a time: the newer one does
        voided["status"] = Promotion.Status.SUPERSEDED
    elif promotion.status == Promotion.Status.APPROVED:
        voided |= {"status": Promotion.Status.PENDING, "decided_at": None}
    Promotion.objects.filter(pk=promotion.pk).update(**voided)
    record(action=Action.PROMOTION_VOIDED, actor=actor, target=promotion, now=now, data=data)
    tell(
        people,
        kind=Kind.DECIDED,
        title=f"The approval of {promotion.model_version.name} was voided: what it was over "
        "changed",
        path=reverse("promotions:promotion_detail", args=[promotion.pk]),
        key=f"promotion-voided:{promotion.pk}:{now.isoformat()}",
        urgent=True,
        now=now,
    )
