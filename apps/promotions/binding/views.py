"""The dossier of a promotion as a file."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.promotions.dossier import dossier_of, file_of
from apps.promotions.models import Promotion


@require_GET
def promotion_dossier(request: SignedIn, pk: UUID) -> HttpResponse:
    """Download the dossier that was decided over, byte for byte: the newest, or with ?digest= one
    of several.
    """
    rows = Promotion.objects.visible_to(request.user)
    promotion = get_object_or_404(rows.select_related("model_version__registered_model"), pk=pk)
    found = dossier_of(promotion, request.GET.get("digest", ""))
    if found is None:
        raise Http404
    return file_of(promotion, found)
