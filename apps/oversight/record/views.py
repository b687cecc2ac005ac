"""The record as evidence: its state, its checkpoints, and what an auditor takes away; for those who
oversee the record, and to everybody else not there.
"""

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.requests import SignedIn
from apps.accounts.roles import OVERSEES_RECORD
from apps.audit.models import AuditEvent, Checkpoint, Verification
from apps.audit.sealing import export
from apps.audit.sealing.keys import keys_from_settings
from apps.audit.sealing.status import status
from apps.common.periods import end_of_day, start_of_day
from apps.common.signing import fingerprint, public_pem
from apps.common.tables.reading import csv_of, is_for_table, read, wants_csv
from apps.common.tasks import enqueue_on_commit
from apps.oversight.record import badges
from apps.oversight.record.tables import CHECKPOINTS, VERIFICATIONS

VERIFIER = Path(settings.BASE_DIR) / "deploy/verifier"


class PartForm(forms.Form):
    """Which part of the record somebody takes away; both days belong to it."""

    since = forms.DateField(label="From", required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput({"type": "date"}))

    def clean_until(self) -> date | None:
        """Refuse a part that ends before it begins."""
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        if since and until and until < since:
            raise forms.ValidationError("The last day is before the first.")
        return until


def require_reader(request: SignedIn) -> None:
    """Let those pass who oversee the record. Raises Http404."""
    if not request.user.has_role(*OVERSEES_RECORD):
        raise Http404


@require_GET
def record_detail(request: SignedIn) -> HttpResponseBase:
    """Show how whole the record is known to be, and what can be taken away of it."""
    require_reader(request)
    return _page(request, PartForm())


def _page(request: SignedIn, form: PartForm, code: int = 200) -> HttpResponseBase:
    tables = ((CHECKPOINTS, Checkpoint.objects.all()), (VERIFICATIONS, Verification.objects.all()))
    for table, rows in tables:
        if wants_csv(table, request):
            return csv_of(table, request, rows)
        if is_for_table(table, request):
            context = {"table": read(table, request, rows)}
            return render(request, "components/_table.html", context)
    found, key = status(now=now()), keys_from_settings()[0]
    shown: dict[str, object] = {table.name: read(table, request, rows) for table, rows in tables}
    shown |= {
        "crumbs": [("Audit", reverse("oversight:event_list")), ("Record", "")],
        "status": found,
        "sealed": badges.sealed_badge(found),
        "anchored": badges.anchored_badge(found),
        "verified": badges.verified_badge(found),
        "origin": settings.AUDIT_ORIGIN,
        "fingerprint": fingerprint(key),
        "form": form,
    }
    return render(request, "oversight/record/detail.html", shown, status=code)


@require_POST
def record_verify(request: SignedIn) -> HttpResponseBase:
    """Have the whole record read again, by a worker."""
    require_reader(request)
    enqueue_on_commit("audit.verify_record", whole=True)
    messages.success(request, "The record is being read again. What is found appears here.")
    return redirect("oversight:record")


@require_GET
def record_part(request: SignedIn) -> HttpResponseBase:
    """Give out a part of the record: what was sealed on the days ?since= to ?until=, packed."""
    require_reader(request)
    form = PartForm(request.GET)
    if not form.is_valid():
        return _page(request, form, 400)
    since, until = form.cleaned_data["since"], form.cleaned_data["until"]
    first, end = export.numbers(_start(since), _end(until))
    if first >= end:
        form.add_error(None, "Nothing that was sealed on these days is anchored yet.")
        return _page(request, form, 400)
    lines = export.part(first, end, origin=settings.AUDIT_ORIGIN)
    days = "-".join(str(day) for day in (since, until) if day) or f"{now():%Y%m%dT%H%M%SZ}"
    answer = StreamingHttpResponse(packed(lines), content_type="application/gzip")
    answer["Content-Disposition"] = f'attachment; filename="record-{days}.qmr.gz"'
    return answer


@require_GET
def record_key(request: SignedIn) -> HttpResponse:
    """Give out the public keys that may have signed checkpoints."""
    require_reader(request)
    pem = "".join(public_pem(key).decode() for key in keys_from_settings())
    return _file(pem, "record-keys.pem")


@require_GET
def record_verifier(request: SignedIn) -> HttpResponse:
    """Give out the program that verifies without the portal, as a zip."""
    require_reader(request)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for path in sorted(VERIFIER.glob("*.py")):
            file.write(path, f"verifier/{path.name}")
    answer = HttpResponse(content.getvalue(), content_type="application/zip")
    answer["Content-Disposition"] = 'attachment; filename="verifier.zip"'
    return answer


@require_GET
def checkpoint(request: SignedIn, size: int) -> HttpResponse:
    """Give out a checkpoint's signed note."""
    require_reader(request)
    found = get_object_or_404(Checkpoint, size=size)
    return _file(found.note, f"checkpoint-{size}.txt")


@require_GET
def checkpoint_proof(request: SignedIn, size: int) -> HttpResponse:
    """Give out the proof that the newest checkpoint continues this one; 409 while that one is not
    anchored.
    """
    require_reader(request)
    found = get_object_or_404(Checkpoint, size=size)
    return _file(export.consistency(found), f"consistency-{size}.txt")


@require_GET
def event_proof(request: SignedIn, event_id: UUID) -> HttpResponse:
    """Give out the proof that an event is in the record; 409 while no anchored checkpoint stands
    over it.
    """
    require_reader(request)
    event = get_object_or_404(AuditEvent, pk=event_id)
    return _file(export.proof_of(event), f"event-{event_id}.tlog-proof")


def packed(lines: Iterable[str]) -> Iterator[bytes]:
    """Yield text as a gzip file while it is made."""
    packer = zlib.compressobj(wbits=31)
    for line in lines:
        if done := packer.compress(line.encode()):
            yield done
    yield packer.flush()


def _start(day: date | None) -> datetime | None:
    return start_of_day(day) if day else None


def _end(day: date | None) -> datetime | None:
    return end_of_day(day) if day else None


def _file(text: str, name: str) -> HttpResponse:
    answer = HttpResponse(text, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
