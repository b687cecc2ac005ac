"""What there is to tell of the prompt record: what waits for a decision, what became of it, and
that prompts were lost.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import DECIDES_PROMPTS, OVERSEES_PROMPTS
from apps.common.counts import counted
from apps.common.decisions import deciders
from apps.notices.models import Kind
from apps.notices.news import LATELY, News, outcomes, tell_asked, tell_news
from apps.prompts.erasures import actions as erasures
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.holds import actions as holds
from apps.prompts.holds.models import HoldRelease
from apps.prompts.models import LostPrompts
from apps.prompts.rules import actions as rules
from apps.prompts.rules.models import RetentionChange

# each sort of request: what its keys begin with, its rows, and who decides
SORTS: dict[str, tuple[type[Any], Any]] = {
    "prompt-retention": (RetentionChange, rules.question),
    "hold-release": (HoldRelease, holds.question),
    "erasure": (ErasureRequest, erasures.question),
}
RELATED = {"hold-release": ("requested_by", "hold")}
TOLD = ("APPROVED", "REJECTED")
HOUR = timedelta(hours=1)


def asked_title(row: RetentionChange | HoldRelease | ErasureRequest) -> str:
    """Return a request in a line, as whoever decides reads it."""
    return f"Decide on the {row}"


def own_title(row: RetentionChange | HoldRelease | ErasureRequest) -> str:
    """Return a request in a line, as whoever asked reads it."""
    return f"Your request: {row}"


def path_of(row: RetentionChange | HoldRelease | ErasureRequest) -> str:
    """Return a request's page."""
    return row.get_absolute_url()


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    told = 0
    for prefix, (model, question) in SORTS.items():
        related = RELATED.get(prefix, ("requested_by",))
        rows = model.objects.select_related(*related)
        told += tell_asked(
            prefix,
            rows.pending(),
            title=asked_title,
            path=path_of,
            people=partial(_deciders, question),
            now=now,
        )
        lately = rows.filter(status__in=TOLD, decided_at__gte=now - LATELY)
        told += tell_news(outcomes(prefix, lately, title=own_title, path=path_of), now=now)
    return told + tell_news(_lost(now), now=now)


def _deciders(question: Any, row: Any) -> list[User]:
    return deciders(holders(*DECIDES_PROMPTS), partial(question, row))


def _lost(now: datetime) -> Iterator[News]:
    """Yield hours in which texts were lost, once they are over and their number stands."""
    rows = LostPrompts.objects.filter(hour__gte=now - LATELY, hour__lte=now - HOUR)
    for row in rows:
        yield News(
            key=f"prompts-lost:{row.pk}",
            kind=Kind.PROMPT,
            title=f"{counted(row.count, 'text')} of {row.get_data_class_display()} not kept "
            f"in the hour from {row.hour:%d %b %H:%M} UTC",
            path=reverse("prompts:overview"),
            people=partial(holders, *OVERSEES_PROMPTS),
            urgent=True,
        )
