"""What a pack holds about one month: its part of the record, its statements, its promotions."""

from collections.abc import Iterator
from datetime import date

from django.conf import settings
from django.db.models import Q, QuerySet

from apps.audit.models import AuditSeal, Checkpoint
from apps.audit.sealing import export
from apps.chargeback.closing.models import MonthClose, Statement, StatementDocument
from apps.chargeback.documents import storage
from apps.common.canonical import canonical
from apps.common.periods import month_bounds
from apps.integrations.errors import TemporaryError
from apps.integrations.s3.client import RegistryStore
from apps.oversight.evidence.collecting import Collected
from apps.oversight.evidence.proofs import Targets
from apps.promotions.models import Promotion

DIGESTS = "statements/digests.json"


def promotions_of(month: date) -> QuerySet[Promotion]:
    """Return the promotions of which something was asked, decided, begun or ended in a month."""
    began, ended = month_bounds(month)
    inside = Q()
    for name in ("requested_at", "decided_at", "rollouts__started_at", "rollouts__finished_at"):
        inside |= Q(**{f"{name}__gte": began, f"{name}__lt": ended})
    return Promotion.objects.filter(inside).distinct().order_by("requested_at", "pk")


def close_of(month: date) -> MonthClose | None:
    """Return the close of a month; None while it is open."""
    return MonthClose.objects.closed().filter(month=month).first()


def targets_of(month: date) -> Targets:
    """Return what the record says of the month's close and its statements."""
    close = close_of(month)
    if close is None:
        return []
    statements = close.statements.values_list("pk", flat=True)
    return [("MonthClose", close.pk), *(("Statement", one) for one in statements)]


def numbers(month: date, size: int) -> tuple[int, int]:
    """Return the first entry that was sealed in a month, and the first one after it, among the
    first `size` entries.
    """
    seals = AuditSeal.objects.filter(sequence__lt=size).order_by("sealed_at", "sequence")
    first = seals.values_list("sequence", flat=True)
    began, ended = month_bounds(month)
    low, high = (first.filter(sealed_at__gte=at).first() for at in (began, ended))
    return (size if low is None else low), (size if high is None else high)


def add_record(collected: Collected, month: date, checkpoint: Checkpoint) -> None:
    """Add the month's part of the record."""
    first, end = numbers(month, checkpoint.size)
    if first >= end:
        collected.miss("part of the record", "nothing was sealed in this month")
        return
    about = f"Entries {first:,} to {end - 1:,} of the record: all that was sealed in the month."
    with collected.place("record/part.qmr", about).open("w", encoding="utf-8") as file:
        file.writelines(export.part(first, end, origin=settings.AUDIT_ORIGIN))
    collected.parts.append("record/part.qmr")


def add_statements(collected: Collected, month: date, archive: RegistryStore) -> Iterator[str]:
    """Add the month's statements, as facts and as PDFs; yield what is worked on, in words. Raises
    TemporaryError where the archive cannot be asked now.
    """
    close = close_of(month)
    if close is None:
        collected.miss("statements", "the month is not closed")
        return
    yield f"Statements of {month:%B %Y}"
    _add_close(collected, close)
    statements = list(close.statements.order_by("number"))
    listed = canonical([[one.number, one.digest] for one in statements])
    collected.add(DIGESTS, listed, "The digest of each statement, over which the close was made.")
    collected.prove(DIGESTS, close.digest)
    for one in statements:
        _add_statement(collected, one, archive)


def _add_close(collected: Collected, close: MonthClose) -> None:
    facts = {
        "month": f"{close.month:%Y-%m}",
        "digest": close.digest,
        "list_usd": str(close.list_usd),
        "cost_usd": str(close.cost_usd),
        "checklist": close.checklist,
        "requested_by": close.requested_by.username,
        "requested_at": close.requested_at.isoformat(),
        "justification": close.justification,
        "decided_by": close.decided_by.username if close.decided_by else None,
        "decided_at": close.decided_at.isoformat() if close.decided_at else None,
        "decision_reason": close.decision_reason,
    }
    collected.add_facts("statements/close.json", facts, "Who closed the month, and what was open.")


def _add_statement(collected: Collected, statement: Statement, archive: RegistryStore) -> None:
    path = f"statements/{statement.number}.json"
    whose = statement.cost_center or "nobody's cost center"
    collected.add(path, canonical(statement.content), f"The statement of {whose}, with its lines.")
    collected.proven.append({"path": path, "as": "sha256", "listed_in": DIGESTS})
    document = StatementDocument.objects.filter(statement=statement).first()
    pdf = f"statements/{statement.number}.pdf"
    if document is None or document.status != StatementDocument.Status.MADE:
        collected.miss(pdf, "it is not made")
        return
    try:
        body = storage.stored(archive, document)
    except storage.CannotRead as error:
        if isinstance(error.__cause__, TemporaryError):
            raise TemporaryError(str(error)) from error
        collected.miss(pdf, str(error))
        return
    collected.add(pdf, body, f"The statement of {whose} as it was issued.")
    collected.prove(pdf, document.sha256, "hex")
