"""The GitOps repository, changed past the portal by somebody who has a clone of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from deploy.local.stack.testing import Stack


class Clone:
    """A person's clone of the GitOps repository, in a folder of its own."""

    def __init__(self, stack: Stack, folder: Path, person: str) -> None:
        self.folder, self.person = folder, person
        self._git("clone", "--quiet", "--branch", "main", str(stack.state / "gitops.git"), ".")

    def read(self, path: str) -> str:
        """Return a file as it is in the clone."""
        return (self.folder / path).read_text()

    def push(self, path: str, content: str | None, why: str) -> None:
        """Write a file, or take it out with None, on top of all commits so far; nothing where it is
        so already.
        """
        self._git("pull", "--quiet", "--rebase")
        file = self.folder / path
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(content)
        self._git("add", "--all")
        if self._git("status", "--porcelain"):
            self._git("commit", "--quiet", "-m", why)
            self._git("push", "--quiet", "origin", "main")

    def _git(self, *words: str) -> str:
        name = [
            "-c",
            f"user.name={self.person}",
            "-c",
            f"user.email={self.person.lower()}@example.com",
        ]
        done = subprocess.run(
            ["git", *name, *words],
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout
