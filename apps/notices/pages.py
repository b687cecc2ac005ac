"""Pages of a person's webhooks: nobody else's."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_RECORD
from apps.common.errors import DomainError
from apps.common.orders import carry_out
from apps.common.tables.reading import respond
from apps.integrations.webhooks.client import allowed_from_settings
from apps.notices import tables, webhooks
from apps.notices.forms import KindsForm, WebhookForm
from apps.notices.models import Call, Kind, Webhook
from apps.notices.signing import key_from_settings, secret_of

SHOWN = 20
CRUMBS = ("Notices", "What you are told", "Webhooks")


def _crumbs(last: str = "") -> list[tuple[str, str]]:
    names = ("notices:notice_list", "notices:choice_list", "notices:webhook_list")
    trail = [(label, reverse(name)) for label, name in zip(CRUMBS, names, strict=True)]
    return [*trail, (last, "")] if last else [*trail[:-1], (CRUMBS[-1], "")]


@require_http_methods(["GET", "POST"])
def webhook_list(request: SignedIn) -> HttpResponse:
    """Show the person's webhooks, and add one; whoever oversees the record sees whose there are."""
    allowed = allowed_from_settings()
    form = WebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            added = webhooks.add_webhook(
                user=request.user, allowed=allowed, now=now(), **form.cleaned_data
            )
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            return _show_secret(request, added)
    mine = Webhook.objects.of(request.user)
    context = {
        "form": form,
        "crumbs": _crumbs(),
        "webhooks": [(one, tables.webhook_badge(one), _labels(one)) for one in mine],
        "hosts": sorted(allowed.hosts),
        "most": webhooks.MOST,
        "everybodys": _everybodys() if request.user.has_role(*OVERSEES_RECORD) else None,
    }
    status = 422 if form.is_bound else 200
    return render(request, "notices/webhook_list.html", context, status=status)


def _labels(webhook: Webhook) -> str:
    return " · ".join(Kind(kind).label for kind in webhook.kinds)


def _everybodys() -> list[tuple[Webhook, object, str]]:
    """Return everybody's webhooks with their badges: hosts alone, never whole addresses."""
    rows = Webhook.objects.kept().select_related("user")
    return [(one, tables.webhook_badge(one), _labels(one)) for one in rows]


@require_GET
def webhook_detail(request: SignedIn, pk: UUID) -> HttpResponseBase:
    """Show one webhook with what was posted to it."""
    webhook = _mine(request, pk)
    return _show(request, webhook, KindsForm(initial={"kinds": webhook.kinds}))


def _show(
    request: SignedIn, webhook: Webhook, form: KindsForm, status: int = 200
) -> HttpResponseBase:
    calls = webhook.calls.select_related("notice")
    context = {
        "webhook": webhook,
        "title": f"Webhook at {webhook.host}",
        "badge": tables.webhook_badge(webhook),
        "crumbs": _crumbs(webhook.host),
        "form": form,
        "failed": calls.filter(status=Call.Status.FAILED)[:SHOWN],
    }
    answer = respond(tables.CALLS, request, calls, "notices/webhook_detail.html", context)
    answer.status_code = status if status != 200 else answer.status_code
    return answer


@require_POST
def webhook_change(request: SignedIn, pk: UUID) -> HttpResponseBase:
    """Have other kinds of notices posted."""
    webhook = _mine(request, pk)
    form = KindsForm(request.POST)
    if not form.is_valid():
        return _show(request, webhook, form, status=422)
    kinds = form.cleaned_data["kinds"]
    order = partial(
        webhooks.change_kinds, webhook=webhook, kinds=kinds, actor=request.user, now=now()
    )
    carry_out(request, order, "Kept.")
    return redirect("notices:webhook_detail", pk=pk)


@require_POST
def webhook_renew(request: SignedIn, pk: UUID) -> HttpResponse:
    """Give it a new secret, and show that once."""
    webhook = _mine(request, pk)
    return _show_secret(
        request, webhooks.renew_secret(webhook=webhook, actor=request.user, now=now())
    )


def _show_secret(request: SignedIn, webhook: Webhook) -> HttpResponse:
    """Show a webhook's secret. The page of the answer is the only one that ever has it."""
    context = {
        "webhook": webhook,
        "crumbs": _crumbs(webhook.host),
        "secret": secret_of(webhook, webhook.secret_number, key_from_settings()),
        "is_renewed": webhook.secret_number > 1,
    }
    return render(request, "notices/webhook_secret.html", context)


@require_POST
def webhook_start(request: SignedIn, pk: UUID) -> HttpResponse:
    """Post to it again after it was stopped."""
    return _ordered(request, pk, webhooks.start_again, "Started. New notices are posted to it.")


@require_POST
def webhook_try(request: SignedIn, pk: UUID) -> HttpResponse:
    """Post a notice to it now."""
    return _ordered(request, pk, webhooks.try_out, "A notice is on its way to it.")


@require_POST
def webhook_remove(request: SignedIn, pk: UUID) -> HttpResponse:
    """Post nothing to it any more."""
    webhook = _mine(request, pk)
    order = partial(webhooks.remove_webhook, webhook=webhook, actor=request.user, now=now())
    carry_out(request, order, f"The webhook at {webhook.host} was removed.")
    return redirect("notices:webhook_list")


@require_POST
def call_again(request: SignedIn, pk: UUID) -> HttpResponse:
    """Post once more what failed."""
    mine = Call.objects.filter(webhook__in=Webhook.objects.of(request.user))
    call = get_object_or_404(mine.select_related("webhook__user"), pk=pk)
    order = partial(webhooks.send_again, call=call, actor=request.user, now=now())
    carry_out(request, order, "It is sent again.")
    return redirect(call.webhook)


def _mine(request: SignedIn, pk: UUID) -> Webhook:
    return get_object_or_404(Webhook.objects.of(request.user).select_related("user"), pk=pk)


def _ordered(request: SignedIn, pk: UUID, action: Callable[..., object], done: str) -> HttpResponse:
    order = partial(action, webhook=_mine(request, pk), actor=request.user, now=now())
    carry_out(request, order, done)
    return redirect("notices:webhook_detail", pk=pk)
