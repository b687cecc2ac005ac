"""What becomes of a statement's PDF: asked for with the close, made, or failed and tried again."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.roles import MENDS_DOCUMENTS
from apps.audit.actions import System, record
from apps.audit.models import Action
from apps.chargeback.closing.models import Statement, StatementDocument
from apps.common import stored
from apps.common.errors import DomainError, require
from apps.common.leases import change_from
from apps.common.tasks import enqueue_on_commit

Status = StatementDocument.Status
ACTOR = System("chargeback.make_documents")
TASK = "chargeback.make_documents"


class NotFailed(DomainError):
    """The PDF is made, or being made: there is nothing to try again."""

    code = "not_failed"


def may_retry(person: User) -> bool:
    """Tell whether this person may have a PDF tried again: finance, and who runs the platform."""
    return person.has_role(*MENDS_DOCUMENTS)


def ask_for(statements: Iterable[Statement], *, now: datetime) -> None:
    """Have PDFs made of statements that were just issued, in the caller's transaction."""
    StatementDocument.objects.bulk_create(
        StatementDocument(statement=statement, asked_at=now, next_check_at=now)
        for statement in statements
    )
    enqueue_on_commit(TASK)


@transaction.atomic
def record_made(
    *,
    document: StatementDocument,
    key: str,
    version_id: str,
    sha256: str,
    size_bytes: int,
    now: datetime,
) -> bool:
    """Say that a PDF was stored, and read back as it was made. False where it is not waiting for
    that any more.
    """
    file = stored.made(
        key=key, version_id=version_id, sha256=sha256, size_bytes=size_bytes, now=now
    )
    done = change_from(document, [Status.WAITING], now=now, status=Status.MADE, **file)
    if done:
        data = _about(document) | {"object": key, "version": version_id, "sha256": sha256}
        statement = document.statement
        record(action=Action.STATEMENT_MADE, actor=ACTOR, target=statement, now=now, data=data)
    return done


@transaction.atomic
def record_failed(*, document: StatementDocument, reason: str, message: str, now: datetime) -> None:
    """Say why a PDF cannot be made; a person has it tried again."""
    values = {"reason": reason, "message": message, "next_check_at": None}
    if change_from(document, [Status.WAITING], now=now, status=Status.FAILED, **values):
        data = _about(document) | {"reason": reason, "message": message}
        statement = document.statement
        record(action=Action.STATEMENT_FAILED, actor=ACTOR, target=statement, now=now, data=data)


def record_waiting(
    *, document: StatementDocument, reason: str, message: str, at: datetime, now: datetime
) -> None:
    """Say what stands in the way, and try again at `at`."""
    StatementDocument.objects.filter(pk=document.pk, status=Status.WAITING).update(
        reason=reason, message=message, observed_at=now, next_check_at=at
    )


@transaction.atomic
def try_again(*, document: StatementDocument, actor: User, now: datetime) -> None:
    """Have a PDF that failed made again. Raises NotPermitted unless the actor may; NotFailed."""
    require(may_retry(actor), "Only finance and platform engineers have a PDF made again.")
    values = {"attempts": 0, "reason": "", "message": "", "next_check_at": now}
    if not change_from(document, [Status.FAILED], now=now, status=Status.WAITING, **values):
        raise NotFailed(f"The PDF is {document.get_status_display().lower()} already.")
    statement, data = document.statement, _about(document)
    record(action=Action.STATEMENT_RETRIED, actor=actor, target=statement, now=now, data=data)
    enqueue_on_commit(TASK)


def _about(document: StatementDocument) -> dict[str, object]:
    statement = document.statement
    return {"number": statement.number, "statement_digest": statement.digest}
