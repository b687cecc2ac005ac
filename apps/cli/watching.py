"""Waits for what the portal does: a version on its way to being verified, an evaluation run, a
promotion with its rollout. Says each change once.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from apps.cli import exits, waits
from apps.cli.names import VersionName, version_name
from apps.cli.output import note
from apps.cli.portal import Portal
from apps.cli.progress import Progress


@dataclass(frozen=True)
class Subject:
    """Something that comes to an end. path: its address below /api/v1; words: what people call it;
    field: which field of its document says where it is.
    """

    path: str
    words: str
    field: str = "status"
    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    untrue: tuple[str, ...] = ()

    @property
    def begins(self) -> str:
        """Return the words as a sentence begins with them; a version's name stays as it is."""
        return f"T{self.words[1:]}" if self.words.startswith("the ") else self.words


def version(name: VersionName) -> Subject:
    """Return a version on its way to being verified."""
    return Subject(
        name.path, str(name), good=("VERIFIED",), bad=("FAILED",), untrue=("QUARANTINED",)
    )


def evaluation(pk: str) -> Subject:
    """Return an evaluation run."""
    return Subject(
        f"evaluation-runs/{quote(pk, safe='')}",
        "the evaluation run",
        good=("PASSED",),
        bad=("FAILED", "ERROR", "CANCELED"),
    )


def promotion(pk: str) -> Subject:
    """Return a promotion until its version serves, or never will."""
    ends = ("REJECTED", "WITHDRAWN", "EXPIRED", "FAILED", "ROLLED_BACK", "SUPERSEDED")
    path = f"promotions/{quote(pk, safe='')}"
    return Subject(path, "the promotion", "stage", good=("LIVE",), bad=ends)


def rollout(pk: str) -> Subject:
    """Return a rollout until its version serves all callers, or never will."""
    bad = ("FAILED", "ABORTED", "SUPERSEDED")
    path = f"rollouts/{quote(pk, safe='')}"
    return Subject(path, "the rollout", good=("LIVE", "REPLACED"), bad=bad)


def subject(portal: Portal, text: str) -> Subject:
    """Return what a name or an id means. Raises NotFound, BadUse."""
    if "-v" in text:
        return version(version_name(text))
    for kind in (evaluation, promotion, rollout):
        try:
            portal.read(kind(text).path)
        except exits.NotFound:
            continue
        return kind(text)
    raise exits.NotFound(f"There is no evaluation run, promotion or rollout {text} for you to see.")


def follow(portal: Portal, what: Subject, *, timeout: float | None, quiet: bool) -> Any:
    """Wait until it ended well, and return its document.

    timeout: seconds; None for ever. Raises Negative, Untrue where it ended badly, TimedOut.
    """
    return _follow(portal, what, waits.until(timeout), quiet)


def _follow(portal: Portal, what: Subject, looks: Iterable[None], quiet: bool) -> Any:
    said, found = "", {}
    with ExitStack() as line:  # ends what is written again and again, before anything else is said
        progress: Progress | None = None
        for _ in looks:
            found = portal.read(what.path)
            state = str(found[what.field])
            if state in what.good:
                return found
            if state in what.bad:
                raise exits.Negative(_ending(what, found), code=state.lower())
            if state in what.untrue:
                raise exits.Untrue(_ending(what, found), code=state.lower())
            words = _words(what, found)
            if words != said:
                line.close()
                said, progress = words, _progress(found, state, quiet)
                if not quiet:
                    note(words)
                if progress is not None:
                    line.callback(progress.leave)
            if progress is not None:
                progress.set(int(found["bytes_verified"]))
    raise exits.TimedOut(f"{_words(what, found)} It has not ended in time; nothing was stopped.")


def _progress(found: Any, state: str, quiet: bool) -> Progress | None:
    """Return a bar for a version that is read back; None for anything else."""
    if state not in ("SIGNING", "VERIFYING") or "bytes_verified" not in found:
        return None
    total = sum(file["size"] for file in found["files"])
    return Progress("The portal reads", total, quiet=quiet)


def _words(what: Subject, found: Any) -> str:
    """Return where it is, as one line that changes only when that does."""
    state = str(found[what.field]).replace("_", " ").lower()
    head = f"{what.begins} is {state}."
    if next_one := found.get("next_approval"):
        return f"{head} It needs the approval of {next_one}."
    waits_for = [str(one["words"]) for one in found.get("waits_for", [])]
    if "packets_done" in found:
        return head
    weight = f" {found['weight']} % of calls." if found.get("weight") else ""
    return " ".join([head + weight, *waits_for])


def _ending(what: Subject, found: Any) -> str:
    state = str(found[what.field]).replace("_", " ").lower()
    why = str(found.get("message") or "")
    head = f"{what.begins} is {state}."
    return f"{head} {why}".strip()
