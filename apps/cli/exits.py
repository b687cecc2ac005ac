"""How a command ends: its exit code, and the errors that lead to one. Pipelines rely on the codes;
`quartermaster --help` lists them.
"""

from enum import IntEnum


class Exit(IntEnum):
    """An exit code. A test holds that each has its words."""

    DONE = 0
    BROKEN = 1
    USAGE = 2
    NOT_SIGNED_IN = 3
    NOT_PERMITTED = 4
    NOT_FOUND = 5
    REFUSED = 6
    AWAY = 7
    UNTRUE = 8
    NEGATIVE = 9
    TIMED_OUT = 10
    INTERRUPTED = 130


WORDS = {
    Exit.DONE: "done, and the answer is yes",
    Exit.BROKEN: "a fault in this program",
    Exit.USAGE: "the command was not written as it should be",
    Exit.NOT_SIGNED_IN: "not signed in, or the portal does not take the token",
    Exit.NOT_PERMITTED: "you, or this pipeline, may not do that",
    Exit.NOT_FOUND: "nothing of that name, or nothing that you may see",
    Exit.REFUSED: "a rule stands against it: of files, or of the state that things are in",
    Exit.AWAY: "the portal or S3 does not answer: run the command again later",
    Exit.UNTRUE: "the bytes are not what was signed or declared",
    Exit.NEGATIVE: "the answer is no: below a threshold, rejected, failed, rolled back",
    Exit.TIMED_OUT: "it had not ended when --timeout was over",
    Exit.INTERRUPTED: "interrupted: run publish again and it goes on where it stopped",
}


class Stop(Exception):
    """Ends the command. The text is for people: what is wrong, and what to do. code: the API's own
    word for it, "" for none.
    """

    exit = Exit.BROKEN

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.code = code or type(self).__name__


class BadUse(Stop):
    """What was written on the command line cannot be meant."""

    exit = Exit.USAGE


class NotSignedIn(Stop):
    """There is no token, or the portal does not take it."""

    exit = Exit.NOT_SIGNED_IN


class NotPermitted(Stop):
    """The caller may not do this."""

    exit = Exit.NOT_PERMITTED


class NotFound(Stop):
    """There is no such thing that the caller may see."""

    exit = Exit.NOT_FOUND


class Refused(Stop):
    """A rule stands against it."""

    exit = Exit.REFUSED


class Away(Stop):
    """The portal, the identity provider or S3 does not answer."""

    exit = Exit.AWAY


class Untrue(Stop):
    """Bytes are not what was signed or declared."""

    exit = Exit.UNTRUE


class Negative(Stop):
    """What was waited for ended badly."""

    exit = Exit.NEGATIVE


class TimedOut(Stop):
    """What was waited for has not ended."""

    exit = Exit.TIMED_OUT


def epilog() -> str:
    """Return the list of exit codes for --help."""
    lines = [f"{code.value:>3}  {words}" for code, words in WORDS.items()]
    return "\n".join(["\b", "Exit codes:", *lines])
