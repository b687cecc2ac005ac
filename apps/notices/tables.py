"""Notices and posts to webhooks as tables, with their badges. Declarations only."""

from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.notices.filters import NoticeFilters
from apps.notices.models import ByEmail, Call, Kind, Letter, Notice, Webhook

ICONS = {
    Kind.WAITS: "circle-help",
    Kind.DECIDED: "circle-check",
    Kind.ROLLOUT: "rocket",
    Kind.INCIDENT: "triangle-alert",
    Kind.EMERGENCY: "triangle-alert",
    Kind.VERSION: "flask-conical",
    Kind.BUDGET: "wallet",
    Kind.GRANT: "calendar-clock",
    Kind.REVIEW: "calendar-clock",
    Kind.MONTH: "receipt-text",
    Kind.RECORD: "scroll-text",
    Kind.DELIVERY: "activity",
}


def notice_badge(notice: Notice) -> Badge:
    """Return whether a notice was read; an urgent one says so."""
    if notice.read_at:
        return Badge("idle", "", "Read")
    return Badge("warn", "", "New, urgent") if notice.is_urgent else Badge("busy", "", "New")


def email_badge(notice: Notice) -> Badge:
    """Return what became of a notice by e-mail."""
    letter = notice.letter
    if letter is not None:
        return _letter_badge(letter)
    if notice.by_email == ByEmail.NEVER:
        return Badge("idle", "minus", "No e-mail")
    if notice.read_at:
        return Badge("idle", "minus", "Read before the digest")
    return Badge("idle", "clock", "In the next digest")


def _letter_badge(letter: Letter) -> Badge:
    Status = Letter.Status
    if letter.status == Status.SENT:
        return Badge("ok", "", "In a digest" if letter.is_digest else "Sent", title=letter.sent_to)
    if letter.status == Status.FAILED:
        return Badge("bad", "", "Not sent", title=letter.message)
    if letter.status == Status.DROPPED:
        return Badge("idle", "minus", "Read before it was sent")
    return Badge("busy", "clock", "Being sent", title=letter.message)


def webhook_badge(webhook: Webhook) -> Badge:
    """Return whether a webhook works, as far as is known."""
    if webhook.stopped_at:
        return Badge("bad", "", "Stopped")
    if webhook.failures:
        return Badge("warn", "", f"{webhook.failures} failed in a row")
    return Badge("ok", "", "Active")


def call_badge(call: Call) -> Badge:
    """Return what became of a post."""
    if call.status == Call.Status.SENT:
        return Badge("ok", "", f"Delivered ({call.status_code})")
    if call.status == Call.Status.FAILED:
        return Badge("bad", "", "Failed")
    return Badge("busy", "clock", "Being sent")


NOTICES = Table(
    name="notices",
    noun=("notice", "notices"),
    columns=(
        Column("what", "What", "title", url=Notice.get_absolute_url, place="name"),
        Column("state", "State", notice_badge, kind="badge", sort="read_at"),
        Column("about", "About", "get_kind_display", sort="kind"),
        Column("email", "By e-mail", email_badge, kind="badge"),
        Column("told", "Told", "told_at", kind="time", sort="told_at", place="figure"),
    ),
    search=("title",),
    search_words="What it says",
    filters=NoticeFilters,
    order="-told",
    most=10_000,
    empty=Empty(
        "Nothing yet",
        "What waits for your decision, what became of what you asked for, and what fails or ends "
        "appears here.",
        icon="bell",
    ),
)
CALLS = Table(
    name="calls",
    noun=("post", "posts"),
    columns=(
        Column("what", "Notice", "notice.title", sort="notice__title", place="name"),
        Column("state", "State", call_badge, kind="badge", sort="status"),
        Column("tries", "Tries", "attempts", kind="figure", sort="attempts"),
        Column("why", "What stands in its way", "message", unknown="nothing"),
        Column("created", "Written", "created_at", kind="time", sort="created_at", place="figure"),
    ),
    order="-created",
    most=10_000,
    empty=Empty("Nothing was posted yet", "Try it out: the receiver gets a notice at once."),
)
