"""What people were told, and how they want to be told."""

from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.requests import SignedIn
from apps.common.counts import counted
from apps.common.tables.reading import respond
from apps.notices import actions, tables
from apps.notices.choices import choices_of
from apps.notices.forms import ChoicesForm
from apps.notices.models import Notice, Webhook

TO_CHOICES = {"label": "What you are told", "icon": "settings-2"}


@require_GET
def notice_list(request: SignedIn) -> HttpResponseBase:
    """List what the person was told; the same as CSV."""
    rows = Notice.objects.of(request.user).select_related("letter")
    context = {
        "actions": [TO_CHOICES | {"url": reverse("notices:choice_list")}],
        "has_unread": rows.unread().exists(),
    }
    return respond(tables.NOTICES, request, rows, "notices/notice_list.html", context)


@require_GET
def notice_open(request: SignedIn, pk: UUID) -> HttpResponse:
    """Go on to what a notice is about, and take it as read. E-mails and webhooks lead here."""
    notice = get_object_or_404(Notice.objects.of(request.user), pk=pk)
    actions.mark_read(Notice.objects.filter(pk=pk), reader=request.user, now=now())
    return redirect(notice.path)


@require_POST
def read_all(request: SignedIn) -> HttpResponse:
    """Take all as read."""
    number = actions.mark_read(Notice.objects.all(), reader=request.user, now=now())
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Trigger": "notices-read"})
    messages.success(request, f"{counted(number, 'notice')} marked as read.")
    return redirect("notices:notice_list")


@require_http_methods(["GET", "POST"])
def choice_list(request: SignedIn) -> HttpResponse:
    """Show and take how the person wants to be told of each kind."""
    user = request.user
    form = ChoicesForm(request.POST or None, chosen=choices_of([user])[user.person])
    if request.method == "POST" and form.is_valid():
        changed = actions.choose(user=user, choices=form.cleaned_data, now=now())
        messages.success(request, "Kept." if changed else "Nothing was different.")
        return redirect("notices:choice_list")
    context = {
        "form": form,
        "crumbs": [("Notices", reverse("notices:notice_list")), ("What you are told", "")],
        "has_email": bool(settings.EMAIL_HOST),
        "digest": f"{settings.DIGEST_HOUR:02}:00 {settings.DIGEST_ZONE.key}",
        "webhooks": Webhook.objects.of(user).count(),
    }
    status = 422 if form.is_bound else 200
    return render(request, "notices/choice_list.html", context, status=status)
