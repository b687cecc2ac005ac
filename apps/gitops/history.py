"""Whether the branch still has our commits: Argo CD never applies one that was rewritten away."""

from collections.abc import Iterable

from apps.integrations.errors import PermanentError
from apps.integrations.git.client import GitClient


class Diverged(PermanentError):
    """The branch no longer has these commits of ours."""

    def __init__(self, message: str, lost: Iterable[str]) -> None:
        super().__init__(message)
        self.lost = frozenset(lost)


def check(commits: Iterable[str], git: GitClient, *, advice: str) -> None:
    """Raise Diverged where one of these commits is no longer on the branch. advice: what people do
    about it, in sentences.
    """
    lost = [sha for sha in commits if not git.is_on_branch(sha)]
    if lost:
        names = ", ".join(sha[:8] for sha in lost)
        which = f"Commit {names} is" if len(lost) == 1 else f"Commits {names} are"
        words = f"{which} no longer on branch {git.branch}: somebody rewrote its history."
        raise Diverged(f"{words} {advice}", lost)
