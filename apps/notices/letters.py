"""What an e-mail says: pure, from the notices that it carries."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.urls import reverse

from apps.common.counts import counted
from apps.notices.models import Kind, Letter, Notice

CHOICES = "notices:choice_list"


@dataclass(frozen=True)
class Portal:
    """Where the portal is, and what it is called. url: without a trailing slash."""

    url: str
    environment: str


@dataclass(frozen=True)
class Written:
    """A letter as it is sent."""

    subject: str
    text: str
    headers: dict[str, str]


def written(letter: Letter, notices: Sequence[Notice], portal: Portal) -> Written:
    """Return an e-mail's subject, text and headers. notices: at least one, as the person reads
    them.

    Each line leads to the notice itself, which is behind the sign-in and goes on to its page. The
    message's id follows from the letter's, so that one sent twice is known to be one.
    """
    one = notices[0].title
    what = f"{counted(len(notices), 'thing')} to know" if letter.is_digest else one
    host = urlsplit(portal.url).hostname or "localhost"
    return Written(
        subject=f"[Quartermaster {portal.environment}] {what}",
        text=_text(notices, portal),
        headers={
            "Message-ID": f"<{letter.pk}@{host}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
            "List-Unsubscribe": f"<{portal.url}{reverse(CHOICES)}>",
        },
    )


def _text(notices: Sequence[Notice], portal: Portal) -> str:
    lines: list[str] = []
    for kind in Kind:
        these = [notice for notice in notices if notice.kind == kind]
        if these:
            lines += [kind.label, ""]
        for notice in these:
            lines += [f"  {notice.title}", f"  {portal.url}{notice.get_absolute_url()}", ""]
    return "\n".join(
        [
            *lines,
            "-- ",
            f"Choose what you are told by e-mail: {portal.url}{reverse(CHOICES)}",
            "",
        ]
    )
