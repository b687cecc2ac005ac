"""Commits made at a time that a test says, for code that asks how old one is."""

import os
from datetime import datetime
from unittest.mock import patch


def commits_at(now: datetime):
    """Return a context in which git commits at `now`."""
    return patch.dict(os.environ, GIT_COMMITTER_DATE=f"{int(now.timestamp())} +0000")
