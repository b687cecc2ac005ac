"""Pages of the keys that sign manifests: which there are, what each signed, and revoking one."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_REGISTRY
from apps.audit.timeline import timeline
from apps.catalog.models import ModelVersion
from apps.catalog.signers import actions, pages, queries, tables
from apps.catalog.signers.models import Signer, SignerRevocation
from apps.common import decisions
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond

SHOWN = 50
PEOPLE = ("signer", "requested_by", "decided_by")


def require_reader(user: User) -> None:
    """Raise Http404 for those who do not see the registry's keys."""
    if not user.has_role(*SEES_REGISTRY):
        raise Http404


@require_GET
def signer_list(request: SignedIn) -> HttpResponseBase:
    """List the keys, those of before included; as a page, its table alone, or CSV."""
    require_reader(request.user)
    rows = queries.with_signed(Signer.objects.visible_to(request.user))
    revocations = SignerRevocation.objects.to_decide(request.user).select_related("signer")
    context = {"crumbs": _crumbs()[:1] + [("Keys", "")], "needs_me": list(revocations)}
    return respond(tables.SIGNERS, request, rows, "catalog/signer_list.html", context)


@require_GET
def signer_detail(request: SignedIn, fingerprint: str) -> HttpResponse:
    """Show one key: who it is, what it signed, and its revocation."""
    return _show(request, _signer_for(request.user, fingerprint), ReasonForm())


@require_GET
def trusted_keys(request: SignedIn) -> HttpResponse:
    """Give the public keys that count, as whoever loads models takes them."""
    require_reader(request.user)
    headers = {"Content-Disposition": 'attachment; filename="registry-keys.pem"'}
    return HttpResponse(queries.trusted_pem(), "application/x-pem-file", headers=headers)


@require_POST
def signer_revoke(request: SignedIn, fingerprint: str) -> HttpResponse:
    """Ask that a key be revoked."""
    signer = _signer_for(request.user, fingerprint)

    def order(reason: str) -> SignerRevocation:
        return actions.request_revocation(
            signer=signer, justification=reason, requester=request.user, now=now()
        )

    done = "Asked for. A reviewer or a platform engineer who did not ask decides."
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, signer, refused, status=422)
    return redirect("registry:signer_detail", fingerprint=fingerprint)


@require_POST
def revocation_approve(request: SignedIn, pk: UUID) -> HttpResponse:
    """Revoke a key."""
    return _decide(
        request, pk, actions.approve_revocation, "Revoked. Its signatures no longer count."
    )


@require_POST
def revocation_reject(request: SignedIn, pk: UUID) -> HttpResponse:
    """Leave a key as it is."""
    return _decide(request, pk, actions.reject_revocation, "Rejected. The key counts as before.")


@require_POST
def revocation_withdraw(request: SignedIn, pk: UUID) -> HttpResponse:
    """Take one's own request back."""
    row = _revocation_for(request.user, pk)
    order = partial(actions.withdraw_revocation, row=row, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("registry:signer_detail", fingerprint=row.signer.fingerprint)


def _decide(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    row = _revocation_for(request.user, pk)
    order = partial(action, row=row, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, row.signer, refused, status=422)
    return redirect("registry:signer_detail", fingerprint=row.signer.fingerprint)


def _signer_for(user: User, fingerprint: str) -> Signer:
    return get_object_or_404(Signer.objects.visible_to(user), fingerprint=fingerprint)


def _revocation_for(user: User, pk: UUID) -> SignerRevocation:
    rows = SignerRevocation.objects.visible_to(user).select_related(*PEOPLE)
    return get_object_or_404(rows, pk=pk)


def _show(request: SignedIn, signer: Signer, form: ReasonForm, status: int = 200) -> HttpResponse:
    signed = ModelVersion.objects.filter(signer=signer.name)
    revocations = list(signer.revocations.select_related("requested_by", "decided_by"))
    waiting = next((row for row in revocations if row.status == row.Status.PENDING), None)
    decide = _decision(waiting, request.user) if waiting else None
    may_ask = actions.may_ask(request.user) and signer.revoked_at is None and waiting is None
    context = {
        "signer": signer,
        "title": signer.name,
        "crumbs": [*_crumbs(), (signer.name, "")],
        "badge": pages.badge(signer),
        "facts": pages.facts(signer, signed.count()),
        "versions": signed.select_related("registered_model").order_by("-created_at")[:SHOWN],
        "revocations": [
            (pages.STATUS_BADGES[row.Status(row.status)], pages.revocation_facts(row))
            for row in revocations
        ],
        "form": form,
        "decide": decide,
        "actions": decide.head_actions if decide else [],
        "may_ask": may_ask,
        "events": timeline("Signer", str(signer.pk)),
    }
    return render(request, "catalog/signer_detail.html", context, status=status)


def _decision(row: SignerRevocation, user: User) -> decisions.Card | None:
    signed = ModelVersion.objects.filter(signer=row.signer.name).count()
    return decisions.card(
        actions.question(row, user),
        urls="registry:revocation",
        approve=f"Revoke the key, and take {signed:,} version{'' if signed == 1 else 's'} out "
        "of use",
    )


def _crumbs() -> list[tuple[str, str]]:
    return [
        ("Registry", reverse("registry:overview")),
        ("Keys", reverse("registry:signer_list")),
    ]
