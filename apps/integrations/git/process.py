"""Runs the git program: always with a time limit, never with a prompt, and with failures put into
words.

Nothing that git prints reaches a person before `redact` took the credentials out of addresses.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from apps.integrations.errors import PermanentError, TemporaryError

_CREDENTIALS = re.compile(r"(?<=://)[^/\s]+@")  # up to the last @: a password may hold one
_ANY_TOKEN = re.compile(r"\b(gh[opsu]_\w{8,}|github_pat_\w+|glpat-[\w-]+)")
AUTH_WORDS = (
    "authentication failed",
    "could not read username",
    "permission denied (publickey",
    "403",
    "401",
)
AWAY_WORDS = (
    "could not resolve host",
    "unable to access",
    "connection refused",
    "connection timed out",
    "connection reset",
    "could not read from remote repository",
    "does not appear to be a git repository",
    "early eof",
    "the remote end hung up",
    "unable to read current working directory",
)
HOOK_WORDS = ("hook declined", "protected branch", "gh006", "gh013", "pre-receive", "denied by")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}
_OPTIONS = ("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.hooksPath=/dev/null")
_NETWORK = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=10")


class GitFailed(Exception):
    """git ended with an error. output: what it printed, without credentials."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(f"git {command}: {output}")
        self.output = output


def redact(text: str) -> str:
    """Return `text` without user names and passwords of addresses, and without well-known
    tokens.
    """
    return _ANY_TOKEN.sub("***", _CREDENTIALS.sub("***@", text))


def run(
    directory: Path,
    *arguments: str,
    stdin: bytes = b"",
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `git <arguments>` on the bare repository `directory` and return what it printed.

    Raises TemporaryError when the time is over (the whole process group is ended), GitFailed when
    git fails.
    """
    command = ["git", f"--git-dir={directory}", *_OPTIONS, *_NETWORK, *arguments]
    environ = (
        {"GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=10"}
        | dict(os.environ)
        | _ENVIRONMENT
    )
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ | dict(environment or {}),
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise TemporaryError(
            f"Git did not answer within {timeout:.0f} s ({arguments[0]})."
        ) from error
    if process.returncode:
        raise GitFailed(arguments[0], redact((err + b"\n" + out).decode(errors="replace")).strip())
    return out.decode(errors="surrogateescape")


def in_words(error: GitFailed, *, branch: str) -> Exception:
    """Return the error that a reconciler understands: away → TemporaryError, refused →
    PermanentError with advice.
    """
    text = error.output.lower()
    if any(word in text for word in HOOK_WORDS):
        said = remote_lines(error.output) or "no reason given"
        return PermanentError(
            f"The Git server refused the commit to branch {branch}: {said}. "
            "Change the server's rule or let Quartermaster's account pass it, then retry."
        )
    if any(word in text for word in AUTH_WORDS):
        return PermanentError(
            "The Git server does not accept Quartermaster's credential. Renew it (GITOPS_REMOTE), "
            "then retry."
        )
    if any(word in text for word in AWAY_WORDS):
        return TemporaryError(
            "The Git server is away. Nothing is lost; the commit is made when it is back."
        )
    last = next(
        (line for line in reversed(error.output.splitlines()) if line.strip()), "no message"
    )
    return TemporaryError(f"Git failed: {last.strip()[:200]}")


def remote_lines(output: str) -> str:
    """Return what the server's hook said: the lines that git marks with `remote:`."""
    lines = [
        line.removeprefix("remote:").strip()
        for line in output.splitlines()
        if line.startswith("remote:")
    ]
    return " ".join(line for line in lines if line)[:300]
