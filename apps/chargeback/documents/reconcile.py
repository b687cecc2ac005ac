"""Makes the PDFs of statements that were issued.

Each step can be repeated: the same statement gives the same bytes, and an object that is there with
them is taken as written. So a worker may die at any line.
"""

import time
from collections.abc import Callable
from datetime import datetime

from apps.chargeback.closing.models import StatementDocument
from apps.chargeback.documents import actions, storage
from apps.chargeback.documents.facts import facts_of
from apps.chargeback.documents.typeset import CannotSet, typeset
from apps.chargeback.focus.rules import NotFocus
from apps.common.leases import retry_at, take_lease
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import RegistryStore

PASS_SECONDS = 200.0


def make_documents(
    *, archive: RegistryStore, now: datetime, clock: Callable[[], float] = time.monotonic
) -> int:
    """Make the PDFs that are due until the pass is over; return how many it looked at."""
    due = StatementDocument.objects.filter(
        status=StatementDocument.Status.WAITING, next_check_at__lte=now
    )
    started, looked_at = clock(), 0
    for document in due.select_related("statement__close").order_by("statement__number"):
        if clock() - started > PASS_SECONDS:
            break
        looked_at += make_document(document=document, archive=archive, now=now)
    return looked_at


def make_document(*, document: StatementDocument, archive: RegistryStore, now: datetime) -> bool:
    """Make one PDF; False when it is not due."""
    if not take_lease(document, now=now):
        return False
    try:
        _make(document, archive, now)
    except TemporaryError as error:
        actions.record_waiting(
            document=document,
            reason="WAITING",
            message=f"{error} Trying again by itself.",
            at=retry_at(document, now=now, retry_after=error.retry_after),
            now=now,
        )
    except (CannotSet, NotFocus) as error:
        actions.record_failed(document=document, reason="SETTING", message=str(error), now=now)
    except PermanentError as error:
        actions.record_failed(document=document, reason="STORING", message=str(error), now=now)
    return True


def _make(document: StatementDocument, archive: RegistryStore, now: datetime) -> None:
    statement = document.statement
    made = typeset(facts_of(statement))
    key, version_id = storage.keep(archive, statement, made.body)
    actions.record_made(
        document=document,
        key=key,
        version_id=version_id,
        sha256=made.sha256,
        size_bytes=len(made.body),
        now=now,
    )
