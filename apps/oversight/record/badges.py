"""What the record's state is called: sealed, anchored, verified."""

from apps.audit.models import Checkpoint, Verification
from apps.audit.sealing.status import Status
from apps.common.badges import Badge
from apps.common.counts import counted


def sealed_badge(found: Status) -> Badge:
    """Return whether events get their places."""
    if found.is_late:
        return Badge("warn", "", f"{found.waiting:,} not sealed", "The sealer does not run.")
    if not found.size:
        return Badge("draft", "", "Nothing sealed yet")
    return Badge("ok", "lock", "Sealed")


def anchored_badge(found: Status) -> Badge:
    """Return whether what is sealed lies where its database cannot change it."""
    if found.problem:
        return Badge("bad", "", "Not anchored")
    if found.anchored is None:
        return Badge("draft", "", "Not anchored yet")
    return Badge("ok", "anchor", "Anchored")


def verified_badge(found: Status) -> Badge:
    """Return what the last readings of the record found."""
    if found.verified is None:
        return Badge("draft", "", "Not verified yet")
    if found.verified.found:
        return outcome_badge(found.verified)
    if not found.is_verified:
        return Badge("warn", "", "Not verified lately")
    return outcome_badge(found.verified)


def outcome_badge(done: Verification) -> Badge:
    """Return what one reading found."""
    if done.found:
        return Badge("bad", "shield-alert", counted(done.found, "finding"))
    return Badge("ok", "shield-check", "Nothing wrong")


def checkpoint_badge(checkpoint: Checkpoint) -> Badge:
    """Return whether a checkpoint is anchored."""
    if checkpoint.anchored_at:
        return Badge("ok", "anchor", "Anchored")
    if checkpoint.problem:
        return Badge("bad", "", "Not anchored", checkpoint.problem)
    return Badge("busy", "", "Being anchored")
