"""Pages of those who may read: the index, a record, and its text, which is shown once and kept
nowhere. To everybody else they are not there.
"""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.requests import SignedIn
from apps.common.errors import DomainError
from apps.common.orders import carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import respond
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import prompts_from_settings
from apps.integrations.wrappers import prompt_wrapper
from apps.metering.store import sees_calls_of
from apps.prompts import pages
from apps.prompts.models import Outcome, Place, PromptRecord, PromptRecordQuerySet
from apps.prompts.reading import actions
from apps.prompts.reading.forms import ReaderForm
from apps.prompts.reading.models import NamedReader, Reading
from apps.prompts.reading.opening import Opened, open_record
from apps.prompts.reading.tables import RECORDS, by_id
from apps.prompts.rules.actions import may_ask, permit_asking
from apps.prompts.words import FOUND, OUTCOMES, PLACES

SECONDS = 10.0  # that the key service may take while a person waits


def records() -> PromptRecordQuerySet:
    """Return the records with what pages show of them."""
    return PromptRecord.objects.select_related("data_key", "pack")


@require_GET
def record_list(request: SignedIn) -> HttpResponseBase:
    """Search the index; as a page, a table or CSV."""
    pages.require_reader(request.user)
    context = {
        "crumbs": pages.crumbs(("Calls", "")),
        "tabs": pages.tabs(request.user, "prompts:record_list"),
    }
    rows = by_id(records(), request.GET.get("q", ""))
    return respond(RECORDS, request, rows, "prompts/record_list.html", context)


@require_GET
def record_detail(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show what the index knows of a call, and who has read it."""
    pages.require_reader(request.user)
    return _show(request, get_object_or_404(records(), pk=pk), ReasonForm())


@never_cache
@require_POST
def record_read(request: SignedIn, pk: UUID) -> HttpResponse:
    """Show a call's text, for a reason, once that is in the record."""
    pages.require_reader(request.user)
    record = get_object_or_404(records(), pk=pk)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _show(request, record, form, status=422)
    reason = form.cleaned_data["reason"]
    actions.read_record(record=record, reader=request.user, reason=reason, now=now())
    try:
        opened = open_with_settings(record)
    except (DomainError, TemporaryError, PermanentError, ValueError) as error:
        form.add_error(None, str(error))
        return _show(request, record, form, status=422)
    return _show(request, record, ReasonForm(), opened)


def open_with_settings(record: PromptRecord) -> Opened:
    """Return a record in plain, with the key service and the bucket that the settings name."""
    return open_record(
        record, wrapper=prompt_wrapper(seconds=SECONDS), bucket=prompts_from_settings
    )


def _show(
    request: SignedIn,
    record: PromptRecord,
    form: ReasonForm,
    opened: Opened | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "title": f"Call {str(record.call_id)[:8]} of {record.team}",
        "crumbs": pages.crumbs(("Calls", reverse("prompts:record_list")), ("Call", "")),
        "badge": OUTCOMES[Outcome(record.outcome)],
        "record": record,
        "facts": _facts(record),
        "sees_call": sees_calls_of(request.user, record.team),
        "findings": [
            {**finding, "does": FOUND.get(finding["does"], finding["does"])}
            for half in ("request", "answer")
            for finding in record.verdict.get(half, {}).get("findings", [])
        ],
        "readings": Reading.objects.filter(record_id=record.pk).select_related("reader"),
        "form": form,
        "halves": _halves(opened),
    }
    return render(request, "prompts/record_detail.html", context, status=status)


def _halves(opened: Opened | None) -> list[tuple[str, str | None]]:
    if opened is None:
        return []
    return [("Request", text_of(opened.request)), ("Answer", text_of(opened.answer))]


def text_of(content: bytes | None) -> str | None:
    """Return a half as text; bytes that are none are shown as such."""
    return None if content is None else content.decode(errors="backslashreplace")


def _facts(record: PromptRecord) -> list[tuple[str, object]]:
    place = PLACES[Place(record.place)]
    return [
        ("Request id", {"text": str(record.call_id), "mono": True, "copy": True}),
        ("When", f"{record.at:%d %b %Y %H:%M:%S} UTC"),
        ("Team", record.team),
        ("Cost center", record.cost_center),
        ("Person", record.person or "not named"),
        ("Model", record.model),
        ("Version", record.version or "not metered yet"),
        ("Operation", record.get_operation_display()),
        ("Data class", record.get_data_class_display()),
        ("Refused by", record.refused_by or "nothing"),
        ("Key", f"of a {record.data_key.get_kind_display().lower()}, {record.data_key}"),
        ("Place", place.words),
        ("Kept until", f"{record.retained_until:%d %b %Y} UTC, longer where a hold covers it"),
    ]


@require_http_methods(["GET", "POST"])
def reader_list(request: SignedIn) -> HttpResponse:
    """Show who may read beside auditors, and name one."""
    pages.require_overseer(request.user)
    form = ReaderForm(request.POST or None)
    if request.method == "POST" and _name(request, form):
        return redirect("prompts:reader_list")
    moment = now()
    context = {
        "crumbs": pages.crumbs(("Readers", "")),
        "tabs": pages.tabs(request.user, "prompts:reader_list"),
        "named": [
            (row, row.active_from <= moment < row.active_to, _ending(row))
            for row in NamedReader.objects.select_related("reader", "named_by")
        ],
        "readings": Reading.objects.select_related("reader")[:50],
        "may_ask": may_ask(request.user),
        "may_read": actions.may_read(request.user, moment),
        "form": form,
    }
    status = 422 if request.method == "POST" else 200
    return render(request, "prompts/reader_list.html", context, status=status)


def _ending(row: NamedReader) -> ReasonForm:
    """Return the form that ends a naming: each has ids of its own, for its labels name them."""
    return ReasonForm(auto_id=f"end-{row.pk}-%s")


def _name(request: SignedIn, form: ReaderForm) -> bool:
    """Name a reader; False, with the errors on the form, where that cannot be."""
    permit_asking(request.user)
    if not form.is_valid():
        return False
    values = form.cleaned_data
    try:
        actions.name_reader(
            reader=values["reader"], days=values["days"], reason=values["reason"],
            actor=request.user, now=now(),
        )  # fmt: skip
    except DomainError as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, "Named. They find the record in their sidebar.")
    return True


@require_POST
def reader_end(request: SignedIn, pk: UUID) -> HttpResponse:
    """Let a named reader read no more."""
    pages.require_overseer(request.user)
    named = get_object_or_404(NamedReader, pk=pk)

    def order(reason: str) -> None:
        actions.end_reader(named=named, reason=reason, actor=request.user, now=now())

    if carry_out_with_reason(request, order, "They read no more.") is not None:
        messages.error(request, "Say why, in a few words.")
    return redirect("prompts:reader_list")
