"""What there is to tell of signing keys: revocations that wait, and what became of them."""

from datetime import datetime
from functools import partial

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_SIGNERS
from apps.catalog.signers.actions import question
from apps.catalog.signers.models import SignerRevocation
from apps.common.decisions import deciders
from apps.notices.news import LATELY, outcomes, tell_asked, tell_news

PREFIX = "revocation"
Status = SignerRevocation.Status
TOLD = (Status.APPROVED, Status.REJECTED)


def asked_title(row: SignerRevocation) -> str:
    """Return a request in a line, as whoever decides reads it."""
    return f"Decide whether {row.signer} is revoked"


def own_title(row: SignerRevocation) -> str:
    """Return a request in a line, as whoever asked reads it."""
    return f"Your request to revoke {row.signer}"


def path_of(row: SignerRevocation) -> str:
    """Return its page: that of the key."""
    return reverse("registry:signer_detail", args=[row.signer.fingerprint])


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    rows = SignerRevocation.objects.select_related("signer", "requested_by")
    decided = rows.filter(decided_at__gte=now - LATELY, status__in=TOLD)
    return tell_asked(
        PREFIX,
        rows.filter(status=Status.PENDING),
        title=asked_title,
        path=path_of,
        people=_deciders,
        now=now,
    ) + tell_news(outcomes(PREFIX, decided, title=own_title, path=path_of), now=now)


def _deciders(row: SignerRevocation) -> list[User]:
    return deciders(holders(*DECIDES_SIGNERS), partial(question, row))
