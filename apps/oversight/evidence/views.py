"""The doors to evidence packs: what was asked for, where it stands, the file; for those who take
evidence away, and to everybody else not there.
"""

from functools import partial
from uuid import UUID

from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.requests import SignedIn
from apps.common.orders import carry_out
from apps.common.tables.reading import respond
from apps.integrations.s3.client import archive_from_settings
from apps.oversight.evidence import actions, badges, storage
from apps.oversight.evidence.forms import AskForm
from apps.oversight.evidence.models import EvidencePack
from apps.oversight.evidence.tables import PACKS

PAGE = "oversight/evidence/list.html"


@require_GET
def evidence_list(request: SignedIn) -> HttpResponseBase:
    """List what was taken away and what is being made; as a page, a table or CSV."""
    _require_taker(request)
    return _page(request, AskForm(initial=request.GET.dict()))


@require_POST
def evidence_ask(request: SignedIn) -> HttpResponseBase:
    """Have the evidence of a promotion or of a month put together."""
    _require_taker(request)
    form = AskForm(request.POST)
    if not form.is_valid():
        return _page(request, form, 422)
    promotion, month = form.cleaned_data["promotion"], form.cleaned_data["month"]
    if promotion:
        order = partial(actions.ask_for_promotion, promotion=promotion)
    else:
        order = partial(actions.ask_for_month, month=month)
    done = "The evidence is being put together."
    pack = carry_out(request, partial(order, actor=request.user, now=now()), done)
    return redirect(pack) if pack else redirect("oversight:evidence_list")


@require_GET
def evidence_detail(request: SignedIn, pack_id: UUID) -> HttpResponse:
    """Show where a pack stands, or that part of the page alone, which asks while it is made."""
    _require_taker(request)
    pack = get_object_or_404(_packs(), pk=pack_id)
    crumbs = [
        ("Audit", reverse("oversight:event_list")),
        ("Evidence", reverse("oversight:evidence_list")),
        (pack.label, ""),
    ]
    context = {
        "pack": pack,
        "crumbs": crumbs,
        "badge": badges.badge(pack),
        "progress": badges.progress(pack),
        "facts": badges.facts(pack),
    }
    part = "#state" if request.htmx else ""
    return render(request, f"oversight/evidence/detail.html{part}", context)


@require_GET
def evidence_file(request: SignedIn, pack_id: UUID) -> FileResponse:
    """Give out the zip that was made, after its digest was checked; the record says who took it.
    Raises CannotRead.
    """
    _require_taker(request)
    pack = get_object_or_404(_packs(), pk=pack_id)
    file = storage.stored(archive_from_settings(), pack)
    actions.record_taken(pack=pack, actor=request.user, now=now())
    return FileResponse(
        file, as_attachment=True, filename=pack.file_name, content_type="application/zip"
    )


@require_POST
def evidence_retry(request: SignedIn, pack_id: UUID) -> HttpResponse:
    """Have a pack that failed made again."""
    _require_taker(request)
    pack = get_object_or_404(_packs(), pk=pack_id)
    order = partial(actions.try_again, pack=pack, actor=request.user, now=now())
    carry_out(request, order, "The evidence is being put together again.")
    return redirect(pack)


def _page(request: SignedIn, form: AskForm, code: int = 200) -> HttpResponseBase:
    crumbs = [("Audit", reverse("oversight:event_list")), ("Evidence", "")]
    answer = respond(PACKS, request, _packs(), PAGE, {"form": form, "crumbs": crumbs})
    answer.status_code = code
    return answer


def _packs() -> QuerySet[EvidencePack]:
    return EvidencePack.objects.select_related(
        "promotion__model_version__registered_model", "asked_by"
    )


def _require_taker(request: SignedIn) -> None:
    if not actions.may_take(request.user):
        raise Http404
