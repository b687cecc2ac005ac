"""What the pages of the prompt record share: who finds them at all, their crumbs and their tabs."""

from django.http import Http404
from django.urls import reverse
from django.utils.timezone import now

from apps.accounts.models import User
from apps.accounts.roles import OVERSEES_PROMPTS
from apps.prompts.reading.actions import may_read

TABS = (
    ("Overview", "prompts:overview"),
    ("Retention", "prompts:retention_list"),
    ("Legal holds", "prompts:hold_list"),
    ("Erasures", "prompts:erasure_list"),
    ("Readers", "prompts:reader_list"),
)


def require_overseer(user: User) -> None:
    """Raise Http404 unless the person sees what is kept, holds and erasures."""
    if not user.has_role(*OVERSEES_PROMPTS):
        raise Http404


def require_reader(user: User) -> None:
    """Raise Http404 unless the person may search the record."""
    if not may_read(user, now()):
        raise Http404


def crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the way to a page below the overview."""
    return [("Prompt record", reverse("prompts:overview")), *rest]


def tabs(user: User, current: str) -> list[tuple[str, str, bool]]:
    """Return (label, address, whether it is this one) of each page that the person may open."""
    names = list(TABS)
    if may_read(user, now()):
        names.insert(1, ("Calls", "prompts:record_list"))
    return [(label, reverse(name), name == current) for label, name in names]
