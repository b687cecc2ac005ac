"""What a reviewer has in front of them: the page of a promotion, as it is drawn from the rows."""

from apps.promotions import actions
from apps.promotions.dossier import digest_shown, evidence
from apps.promotions.models import Promotion
from tests.factories import NOW


def seen(promotion, now=NOW, **changes):
    """Return what the page of a promotion shows at a moment, but for these changes."""
    found = Promotion.objects.get(pk=promotion.pk)
    values = {
        "manifest_digest": found.manifest_digest,
        "eval_run": str(found.eval_run_id),
        "baseline": found.baseline_id,
        "figures": digest_shown(evidence(found, actions.NOT_SHOWN, now)),
    }
    return actions.Seen(**(values | changes))
