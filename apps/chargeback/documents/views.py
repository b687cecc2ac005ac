"""The doors to a statement's PDF: where it stands, the file, and another try."""

from functools import partial

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.chargeback.closing.models import Statement, StatementDocument
from apps.chargeback.closing.queries import is_sample
from apps.chargeback.documents import actions, pages, storage
from apps.common.orders import carry_out
from apps.common.simulated import SAMPLE_MARK
from apps.integrations.s3.client import archive_from_settings


@require_GET
def statement_document(request: SignedIn, number: str) -> HttpResponse:
    """Show where the PDF stands: a part of the statement's page, which asks while it is made."""
    statement = get_object_or_404(Statement.objects.visible_to(request.user), number=number)
    context = {"statement": statement, "pdf": pages.card(statement, request.user)}
    return render(request, "chargeback/closing/_document.html", context)


@require_GET
def statement_pdf(request: SignedIn, number: str) -> HttpResponse:
    """Answer the file that was made, after its digest was checked. Raises CannotRead."""
    document = _document_for(request.user, number)
    body = storage.stored(archive_from_settings(), document)
    mark = f"-{SAMPLE_MARK.lower()}" if is_sample(document.statement) else ""
    name = f"statement-{document.statement.number}{mark}.pdf"
    disposition = f'attachment; filename="{name}"'
    return HttpResponse(
        body, content_type="application/pdf", headers={"Content-Disposition": disposition}
    )


@require_POST
def statement_document_retry(request: SignedIn, number: str) -> HttpResponse:
    """Have a PDF that failed made again."""
    document = _document_for(request.user, number)
    order = partial(actions.try_again, document=document, actor=request.user, now=now())
    carry_out(request, order, "The PDF is being made again.")
    return redirect(document.statement)


def _document_for(user: User, number: str) -> StatementDocument:
    found = StatementDocument.objects.filter(statement__in=Statement.objects.visible_to(user))
    return get_object_or_404(found.select_related("statement__close"), statement__number=number)
