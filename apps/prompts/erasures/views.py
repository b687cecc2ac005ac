"""Pages of erasures: asking for one, deciding about it, and its receipt."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_RECORD
from apps.audit.models import Action, AuditEvent
from apps.audit.timeline import timeline
from apps.common import decisions
from apps.common.canonical import canonical
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.prompts import pages
from apps.prompts.erasures import actions
from apps.prompts.erasures.forms import ErasureForm
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.erasures.tables import ERASURES, badge_of
from apps.prompts.holds.queries import holds_over
from apps.prompts.models import DataKey, Place, PromptRecord
from apps.prompts.rules.actions import may_ask, permit_asking


@require_GET
def erasure_list(request: SignedIn) -> HttpResponseBase:
    """Show every request for erasure; as a page, a table or CSV."""
    pages.require_overseer(request.user)
    button = {"label": "Ask for an erasure", "url": reverse("prompts:erasure_create"),
              "style": "primary"}  # fmt: skip
    rows = ErasureRequest.objects.visible_to(request.user).select_related("requested_by")
    context = {
        "crumbs": pages.crumbs(("Erasures", "")),
        "tabs": pages.tabs(request.user, "prompts:erasure_list"),
        "actions": [button] if may_ask(request.user) else [],
    }
    return respond(ERASURES, request, rows, "prompts/erasure_list.html", context)


@require_http_methods(["GET", "POST"])
def erasure_create(request: SignedIn) -> HttpResponse:
    """Ask for an erasure."""
    pages.require_overseer(request.user)
    permit_asking(request.user)
    form = ErasureForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.ask_erasure(requester=request.user, now=now(), **form.cleaned_data)
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "Asked for. A reviewer or another auditor decides.")
            return redirect(made)
    context = {
        "title": "Ask for an erasure",
        "crumbs": _crumbs(("New", "")),
        "form": form,
        "submit": "Ask for this erasure",
        "now_title": "What it does",
        "now": [
            ("Destroyed", "the keys of this member or case, of every month"),
            ("Then", "nobody reads its prompts and answers, wherever their ciphertext lies"),
            ("Not reached", "calls that named no member or case: they are under their team’s key"),
            ("Of a case", "calls that named a member too are under the member’s key"),
            ("Under way", "what gates have not written yet is kept under a new key"),
            ("Held", "a legal hold refuses it, and is named"),
        ],
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "prompts/form.html", context, status=status)


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return pages.crumbs(("Erasures", reverse("prompts:erasure_list")), *rest)


@require_GET
def erasure_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a request: what it would reach, or what was done."""
    return _show(request, _erasure_for(request.user, pk), ReasonForm())


def _erasure_for(user: User, pk: UUID) -> ErasureRequest:
    rows = ErasureRequest.objects.visible_to(user)
    return get_object_or_404(rows.select_related("requested_by", "decided_by"), pk=pk)


def _show(
    request: SignedIn, item: ErasureRequest, form: ReasonForm, status: int = 200
) -> HttpResponse:
    is_pending = item.status == ErasureRequest.Status.PENDING
    keys = actions.keys_of(item) if is_pending else []
    held = holds_over(keys)
    blocked = None
    if held:
        names = ", ".join(f"{hold} ({hold.matter})" for hold in held)
        blocked = ("A legal hold stands in the way.", f"Two people lift it first: {names}.")
    decide = decisions.card(
        actions.question(item, request.user),
        urls="prompts:erasure",
        approve="Destroy the keys",
        blocked=blocked,
    )
    context = {
        "title": f"Erase a {item.get_kind_display().lower()}",
        "crumbs": _crumbs((item.token[:8], "")),
        "badge": badge_of(item),
        "facts": [
            ("Whose", f"{item.get_kind_display()} {item.token}"),
            *decisions.asked_facts(item, "Asked for by"),
            *(_reach(keys) if is_pending else []),
        ],
        "receipt": item.receipt,
        "receipt_rows": _receipt_rows(item),
        "receipt_url": reverse("prompts:erasure_receipt", args=[item.pk]),
        "event_url": _event_url(request.user, item),
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "events": timeline("ErasureRequest", item.pk),
    }
    return render(request, "prompts/decision.html", context, status=status)


def _reach(keys: list[DataKey]) -> list[tuple[str, object]]:
    """Return what an erasure would reach now."""
    records = PromptRecord.objects.filter(data_key__in=keys).exclude(place=Place.ERASED)
    return [
        ("Keys that it would destroy", f"{len(keys):,}"),
        ("Calls that nobody would read", f"{records.count():,}"),
    ]


def _receipt_rows(item: ErasureRequest) -> list[tuple[str, object]]:
    if item.receipt is None:
        return []
    said, left = item.receipt["records"], item.receipt["left"]
    lost = item.receipt["not_reached"]
    return [
        ("Keys destroyed", f"{len(item.receipt['keys_destroyed']):,}"),
        ("Calls that nobody reads any more", f"{said['unreadable']:,}"),
        ("Of them, ciphertext left in S3", f"{said['ciphertext_left_in_s3']:,}"),
        ("Objects that were being written", f"{len(left.get('objects_being_written', [])):,}"),
        ("Keys in the memory of gates until", _moment(left["keys_in_memory_of_gates_until"])),
        ("Wrapped keys in backups until", _moment(left["wrapped_keys_in_backups_until"])),
        ("Not reached: named nobody", f"{lost['sent_without_a_member_or_case']:,}"),
        ("Not reached: other secret", f"{lost['hashed_with_another_secret']:,}"),
        ("Digest", {"text": item.receipt_digest, "mono": True, "copy": True}),
    ]


def _moment(text: str) -> str:
    """Return a receipt's moment as people read it; other words as they are."""
    try:
        return f"{datetime.fromisoformat(text):%d %b %Y %H:%M} UTC"
    except ValueError:
        return text


def _event_url(user: User, item: ErasureRequest) -> str:
    """Return the event that names the receipt, for those who may open it; "" for others."""
    if item.receipt is None or not user.has_role(*OVERSEES_RECORD):
        return ""
    events = AuditEvent.objects.about("ErasureRequest", str(item.pk))
    event = events.filter(action=Action.PROMPTS_ERASED).first()
    return event.get_absolute_url() if event else ""


@require_GET
def erasure_receipt(request: SignedIn, pk: UUID) -> HttpResponse:
    """Give a receipt away, byte for byte what its digest is over."""
    item = _erasure_for(request.user, pk)
    if item.receipt is None:
        raise Http404
    return receipt_answer(item)


def receipt_answer(item: ErasureRequest) -> HttpResponse:
    """Return the receipt as a file."""
    answer = HttpResponse(canonical(item.receipt), content_type="application/json")
    name = f"erasure-{str(item.pk)[:8]}.json"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_POST
def erasure_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Destroy the keys of a member or a case."""
    return _decide(request, pk, actions.approve_erasure, "The keys are destroyed.")


@require_POST
def erasure_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Erase nothing."""
    return _decide(request, pk, actions.reject_erasure, "Rejected. Nothing is erased.")


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    item = _erasure_for(request.user, pk)
    order = partial(action, erasure=item, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect(item)


@require_POST
def erasure_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take the request back."""
    item = _erasure_for(request.user, pk)
    order = partial(actions.withdraw_erasure, erasure=item, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect(item)
