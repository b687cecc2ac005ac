"""Pages of the registry itself: how its bucket is kept, what was read again, and asking for it."""

from functools import partial

from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.requests import SignedIn
from apps.catalog.models import ModelVersion
from apps.catalog.signers import pages as signers
from apps.catalog.signers.models import Signer
from apps.catalog.signers.views import require_reader
from apps.catalog.verification import actions, bucket, pages, tables
from apps.catalog.verification.models import BucketState, Verification
from apps.common.orders import carry_out
from apps.common.tables.reading import is_for_table, respond, wants_csv

RELATED = ("version__registered_model", "requested_by")


@require_GET
def overview(request: SignedIn) -> HttpResponseBase:
    """Show the bucket's settings, the key that signs, and the readings; or their table or CSV."""
    require_reader(request.user)
    rows = Verification.objects.visible_to(request.user).select_related(*RELATED)
    table = tables.VERIFICATIONS
    alone = wants_csv(table, request) or is_for_table(table, request)
    context = {} if alone else _state()
    return respond(table, request, rows, "catalog/registry.html", context)


def _state() -> dict[str, object]:
    state = BucketState.objects.filter(bucket=settings.REGISTRY_BUCKET).first()
    signer = Signer.objects.filter(active_to=None).first()
    found = [bucket.of_json(item) for item in state.settings] if state else []
    return {
        "bucket": settings.REGISTRY_BUCKET,
        "state": state,
        "settings": [(setting, pages.verdict(setting)) for setting in found],
        "signer": signer,
        "signer_badge": signers.badge(signer) if signer else None,
        "signer_url": signers.url(signer) if signer else "",
        "every": settings.VERIFY_EVERY_DAYS,
    }


@require_POST
def version_verify(request: SignedIn, name: str, number: int) -> HttpResponse:
    """Have every byte of a version read again."""
    rows = ModelVersion.objects.visible_to(request.user).select_related(
        "registered_model__owner_team"
    )
    version = get_object_or_404(rows, registered_model__name=name, number=number)
    order = partial(actions.ask_verification, version=version, actor=request.user, now=now())
    carry_out(request, order, "It is being read. The result stands here and in the record.")
    return redirect("catalog:version_detail", name=name, number=number)
