"""What the page of a promotion says about an emergency: the way to one, or the one that there
was.
"""

from django.urls import reverse

from apps.accounts.models import User
from apps.promotions.emergencies.actions import may_declare
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Promotion


def way_in(promotion: Promotion, user: User) -> list[dict[str, str]]:
    """Return the button that leads a platform engineer to the emergency of a promotion that
    waits; none for anybody else.
    """
    waits = promotion.status in (Promotion.Status.PENDING, Promotion.Status.APPROVED)
    if not waits or promotion.newest_rollout() or not may_declare(promotion, user):
        return []
    url = reverse("promotions:emergency_create", args=[promotion.pk])
    return [{"label": "Emergency…", "url": url, "icon": "triangle-alert"}]


def of_promotion(promotion: Promotion) -> Emergency | None:
    """Return the emergency in which a promotion was rolled forward; None where approvals did it."""
    if promotion.status != Promotion.Status.EMERGENCY:
        return None
    return Emergency.objects.with_parts().get(promotion=promotion)
