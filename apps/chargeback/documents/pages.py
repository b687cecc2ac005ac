"""How pages tell where the PDF of a statement stands."""

from dataclasses import dataclass

from apps.accounts.models import User
from apps.chargeback.closing.models import Statement, StatementDocument
from apps.chargeback.documents.actions import may_retry
from apps.common.badges import Badge

Status = StatementDocument.Status
BADGES = {
    Status.WAITING: Badge("busy", "", "Being made"),
    Status.MADE: Badge("ok", "", "Made"),
    Status.FAILED: Badge("bad", "", "Failed"),
}


@dataclass(frozen=True)
class Card:
    """Where a PDF stands, as one person meets it."""

    document: StatementDocument
    badge: Badge
    may_retry: bool

    @property
    def is_moving(self) -> bool:
        """Tell whether it changes by itself."""
        return self.document.status == Status.WAITING

    @property
    def facts(self) -> list[tuple[str, object]]:
        """Return what there is to say of a PDF that is made."""
        made_at = self.document.made_at
        if made_at is None:
            return []
        digest = {"text": f"sha256:{self.document.sha256}", "mono": True, "copy": True}
        return [("Made", f"{made_at:%d %b %Y %H:%M} UTC"), ("Digest of the file", digest)]


def card(statement: Statement, person: User) -> Card | None:
    """Return where a statement's PDF stands; None where none was asked for."""
    document = StatementDocument.objects.filter(statement=statement).first()
    if document is None:
        return None
    failed = document.status == Status.FAILED
    return Card(document, BADGES[Status(document.status)], failed and may_retry(person))


def badge(statement: Statement) -> Badge | None:
    """Return where a statement's PDF stands. statement: with its document."""
    document = getattr(statement, "document", None)
    return BADGES[Status(document.status)] if document else None
