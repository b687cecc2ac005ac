"""States in words, for every page of the prompt record. Pure."""

from apps.common import decisions, diffs
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.prompts.models import Outcome, Place
from apps.prompts.rules.rules import MODE_WORDS, Mode, Rules

OUTCOMES = {
    Outcome.OPEN: Badge("busy", "clock", "No answer seen yet"),
    Outcome.ANSWERED: Badge("ok", "circle-check", "Answered"),
    Outcome.CUT: Badge("warn", "circle-x", "Answer stopped by a rule"),
    Outcome.REFUSED: Badge("bad", "circle-x", "Refused"),
    Outcome.UNSERVED: Badge("idle", "minus", "Answered by no model"),
}
PLACES = {
    Place.POSTGRES: Badge("idle", "database", "In the database"),
    Place.S3: Badge("idle", "server", "In S3"),
    Place.ERASED: Badge("idle", "circle-x", "Erased"),
}
# what a rule of the guard did with what it found, after "the rule"
FOUND = {"block": "blocked it", "monitor": "noted it", "mask": "masked it"}
ERASED = Badge("ok", "circle-check", "Erased")
LIFTED = Badge("idle", "undo-2", "Lifted")
STANDS = Badge("warn", "lock", "Stands")


def decided_badge(status: str, *, approved: Badge | None = None) -> Badge:
    """Return what became of what somebody asked for. approved: in other words than "Approved"."""
    return approved if approved and status == "APPROVED" else decisions.BADGES[status]


def words_of(rules: Rules) -> list[tuple[str, str]]:
    """Return rules with their names, in the order people read them."""
    others = [
        (f"But {name}", MODE_WORDS[Mode(mode)]) for name, mode in sorted(rules.models.items())
    ]
    return [
        ("Prompts and answers", MODE_WORDS[Mode(rules.mode)]),
        ("Kept for", counted(rules.kept_days, "day")),
        *others,
    ]


def difference(before: Rules, after: Rules) -> list[diffs.File]:
    """Return what changes from some rules to others, line by line."""
    return diffs.between("retention", _text(before), _text(after))


def _text(rules: Rules) -> str:
    return "\n".join(f"{label}: {words}" for label, words in words_of(rules))
