"""What the Git client answers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class CommitRef:
    """A commit on the branch. created: this call made it; False: it was there already, with the
    same trailers.
    """

    sha: str
    created: bool
    committed_at: datetime
