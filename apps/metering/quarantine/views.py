"""Pages of the records that were received and are not counted."""

from functools import partial
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.accounts.roles import MENDS_USAGE, SEES_EVERY_TEAM
from apps.audit.timeline import timeline
from apps.common.orders import carry_out_with_reason
from apps.common.persons import opaque_id
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.metering.quarantine import actions
from apps.metering.quarantine.models import QuarantinedRecord
from apps.metering.quarantine.tables import QUARANTINE, QuarantineFilters, record_badge

PERSON = "user_id"  # the key of the access log
LIST = "metering:quarantine_list"


@require_GET
def quarantine_list(request: SignedIn) -> HttpResponseBase:
    """List the records in doubt, newest first; the same rows as CSV."""
    rows = _records_for(request.user)
    waiting = rows.filter(status=QuarantinedRecord.Status.WAITING).count()
    context = {
        "crumbs": [("Usage", reverse("metering:usage_list")), ("Quarantine", "")],
        "waiting": waiting,
        "may_mend": request.user.has_role(*MENDS_USAGE),
        "most": actions.MOST_AT_ONCE,
        "asked": request.GET.urlencode(),
    }
    return respond(QUARANTINE, request, rows, "metering/quarantine/list.html", context)


@require_GET
def quarantine_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show one record: why it is doubted, what it says, what became of it."""
    return _show(request, _record_for(request.user, pk), ReasonForm())


@require_POST
def quarantine_replay(request: SignedIn) -> HttpResponse:
    """Try the records again that the list's filters let through, and still wait."""
    found = QuarantineFilters(request.GET, queryset=_records_for(request.user)).qs
    counted = actions.replay_records(records=found, actor=request.user, now=now())
    if counted:
        messages.success(request, f"Counted now: {counted:,}.")
    else:
        messages.info(request, "None of them can be counted yet.")
    return redirect(f"{reverse(LIST)}?{request.GET.urlencode()}")


@require_POST
def quarantine_retry(request: SignedIn, pk: UUID) -> HttpResponse:
    """Try one record again."""
    item = _record_for(request.user, pk)
    found = QuarantinedRecord.objects.filter(pk=item.pk)
    if actions.replay_records(records=found, actor=request.user, now=now()):
        messages.success(request, "It is counted now, in the hour in which the call began.")
    else:
        messages.info(request, "It cannot be counted yet: see what is wrong.")
    return redirect("metering:quarantine_detail", pk=pk)


@require_POST
def quarantine_leave_out(request: SignedIn, pk: UUID) -> HttpResponse:
    """Decide that one record never counts."""
    item = _record_for(request.user, pk)
    order = partial(actions.leave_out, item=item, actor=request.user, now=now())
    refused = carry_out_with_reason(request, order, "Left out for good.")
    if refused is not None:
        return _show(request, item, refused, status=422)
    return redirect("metering:quarantine_detail", pk=pk)


def _records_for(user: User) -> QuerySet[QuarantinedRecord]:
    """Return all records, for those who see every team's usage. Raises Http404 for others."""
    if not user.has_role(*SEES_EVERY_TEAM):
        raise Http404
    return QuarantinedRecord.objects.select_related("resolved_by")


def _record_for(user: User, pk: UUID) -> QuarantinedRecord:
    return get_object_or_404(_records_for(user), pk=pk)


def _show(
    request: SignedIn, item: QuarantinedRecord, form: ReasonForm, status: int = 200
) -> HttpResponse:
    waits = item.status == QuarantinedRecord.Status.WAITING
    context = {
        "item": item,
        "title": str(item),
        "crumbs": [
            ("Usage", reverse("metering:usage_list")),
            ("Quarantine", reverse(LIST)),
            (str(item), ""),
        ],
        "badge": record_badge(item),
        "facts": _facts(item),
        "values": _values(item),
        "form": form,
        "may_mend": waits and request.user.has_role(*MENDS_USAGE),
        "events": timeline("QuarantinedRecord", str(item.pk)),
    }
    return render(request, "metering/quarantine/detail.html", context, status=status)


def _values(item: QuarantinedRecord) -> list[tuple[str, str]]:
    """Return what the record says by its keys; of the person only the opaque id."""
    values = item.values | {PERSON: opaque_id(item.values.get(PERSON, ""))}
    return sorted((key, value) for key, value in values.items() if key in item.values)


def _facts(item: QuarantinedRecord) -> list[tuple[str, object]]:
    began = f"{item.occurred_at:%d %b %Y %H:%M:%S} UTC" if item.occurred_at else "not told"
    facts: list[tuple[str, object]] = [
        ("Reason", item.get_doubt_display()),
        ("What is wrong", item.detail),
        ("Call began", began),
        ("Received", f"{item.received_at:%d %b %Y %H:%M:%S} UTC"),
        ("Came by", item.get_received_via_display()),
    ]
    if item.resolved_at:
        who = item.resolved_by or "Quartermaster"
        facts.append((item.get_status_display(), f"{item.resolved_at:%d %b %Y %H:%M} UTC by {who}"))
    if item.resolution:
        facts.append(("Because", item.resolution))
    return facts
