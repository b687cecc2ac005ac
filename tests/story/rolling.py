"""Rollouts that a test starts, watches and takes back, over the API and as the page shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from deploy.local.stack.testing import Stack
from tests.pages import joined
from tests.story import delivering
from tests.story.calls import MODEL
from tests.story.delivering import Desk, Exports, until

LOOKING = 120.0  # seconds until a failure shows: a node may have to be made first


class World:
    """Who rolls out what, and the page as the owner sees it."""

    def __init__(self, stack: Stack, patience: float, pages: Exports) -> None:
        self.stack, self.pages = stack, pages
        self.owner, self.reviewer = Desk(stack, "owen", patience), Desk(stack, "rita", patience)
        if not delivering.passing_versions(self.owner):
            delivering.evaluate(self.owner, 1)
        live = delivering.live_version(self.owner)
        self.number = next(
            number for number in delivering.passing_versions(self.owner) if number != live
        )
        self.name = f"{MODEL}-v{self.number}"

    @contextmanager
    def rollout(self, serving_class: str = "WARM") -> Iterator[str]:
        """Start a rollout; afterwards take it back and wait until its removal is committed."""
        _, rollout = delivering.start_rollout(self.owner, self.reviewer, self.number, serving_class)
        try:
            yield rollout
        finally:
            self.owner.post(f"/rollouts/{rollout}/abort", {"reason": "The test has seen it."})
            removed = lambda row: "REMOVE" in {commit["step"] for commit in row["commits"]}  # noqa: E731
            until(
                lambda: self.owner.get(f"/rollouts/{rollout}"),
                removed,
                seconds=LOOKING,
                what="its removal",
            )

    def sees(self, rollout: str, *codes: str) -> dict[str, Any]:
        """Wait until the rollout says one of these; return it."""
        look = lambda: self.owner.get(f"/rollouts/{rollout}")  # noqa: E731
        return until(
            look, lambda row: row["reason"] in codes, seconds=LOOKING, what=" or ".join(codes)
        )

    def goes_on(self, rollout: str, *codes: str) -> dict[str, Any]:
        """Wait until the rollout is under way and says none of these; return it."""
        look = lambda: self.owner.get(f"/rollouts/{rollout}")  # noqa: E731
        moves = lambda row: row["status"] == "PROGRESSING" and row["reason"] not in ("", *codes)  # noqa: E731
        return until(look, moves, seconds=LOOKING, what=f"goes on after {codes}")

    def page(self, rollout: str) -> str:
        """Return the rollout's page."""
        answer = self.pages.http.get(f"{self.stack.portal}/rollouts/{rollout}/")
        return joined(answer.raise_for_status().text)
