"""The dossier of a promotion for programs."""

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.decorators import api_view
from rest_framework.request import Request

from apps.accounts.requests import caller
from apps.common.openapi import operation
from apps.promotions.dossier import dossier_of, file_of
from apps.promotions.models import Promotion

DIGEST = OpenApiParameter(
    "digest", str, description="Of one of several dossiers; the newest where it is left out."
)


@operation(
    "promotion_dossier",
    "Promotions",
    "Read the dossier that was decided over",
    answers=OpenApiTypes.OBJECT,
    refuses=(404,),
    parameters=[DIGEST],
)
@api_view(["GET"])
def promotion_dossier(request: Request, pk: UUID) -> HttpResponse:
    """Answer the dossier's canonical JSON (RFC 8785): its SHA-256 is the digest that the decision
    and the commits carry.
    """
    rows = Promotion.objects.visible_to(caller(request))
    promotion = get_object_or_404(rows.select_related("model_version__registered_model"), pk=pk)
    found = dossier_of(promotion, request.query_params.get("digest", ""))
    if found is None:
        raise Http404
    return file_of(promotion, found)
