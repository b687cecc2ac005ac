"""One persona with a browser of their own: signing in, opening pages, and keeping pictures where
they are wanted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from deploy.local.stack.testing import Stack
from tests.story.watch import Watch

SIZES = {"1440": (1440, 900), "390": (390, 844)}


class Person:
    """A persona at their browser. `patience`: seconds that something slow on this machine may
    take.
    """

    def __init__(
        self, username: str, context: BrowserContext, stack: Stack, watch: Watch, patience: float
    ) -> None:
        self.username, self.context, self.stack, self.watch, self.patience = (
            username,
            context,
            stack,
            watch,
            patience,
        )
        context.set_default_timeout(60_000)
        context.set_default_navigation_timeout(60_000)
        watch.over(context, username)
        self.page: Page = context.new_page()

    def sign_in(self, team: str = "", status: int = 200) -> None:
        """Sign in at the identity provider, as the team where the person has several; see a page of
        this status.
        """
        self.page.goto(self.stack.portal)
        with self.watch.expecting(*([status] if status >= 400 else [])):
            self.page.locator(f'button[value="{self.username}"]').click()
            if team:
                self.page.locator(f'button[value="{team}"]').click()
            self.page.wait_for_url(f"{self.stack.portal}/**")

    def open(self, path: str, status: int = 200) -> None:
        """Open a page of the portal, which answers with this status."""
        with self.watch.expecting(*([status] if status >= 400 else [])):
            response = self.page.goto(self.stack.portal + path)
            assert response is not None
            assert response.status == status, f"{self.username}: {path} answered {response.status}"

    def follow(self, name: str | re.Pattern[str]) -> None:
        """Click the first link of this name."""
        self.page.get_by_role("link", name=name).first.click()

    def press(self, name: str | re.Pattern[str]) -> None:
        """Click the button of this name."""
        self.page.get_by_role("button", name=name).first.click()

    def fill(self, label: str, text: str) -> None:
        """Write into a field."""
        self.page.get_by_label(label, exact=False).first.fill(text)

    def sees(self, text: str | re.Pattern[str], *, seconds: float = 30) -> Locator:
        """Wait until the page shows a text, and return where."""
        found = self.page.get_by_text(text).filter(visible=True).first
        expect(found).to_be_visible(timeout=seconds * 1000)
        return found

    def fact(self, label: str) -> str:
        """Return the value beside a label in the page's facts."""
        found = self.page.locator("dl.kv dt", has_text=re.compile(rf"^\s*{re.escape(label)}\s*$"))
        value = found.first.locator("xpath=following-sibling::dd[1]")
        expect(value).to_be_visible()
        return value.inner_text().removesuffix("Copy").strip()

    def badge(self) -> Locator:
        """Return the badge beside the page's title."""
        return self.page.locator(".page-title .badge").first

    def step(self, label: str, state: str) -> Locator:
        """Return the step of a stepper in a state: "done", "under way", "failed", "not yet"."""
        return self.page.locator(
            "li.step",
            has_text=re.compile(
                rf"{re.escape(label)}\s*: "
                rf"{state}"
            ),
        ).first

    def shot(self, name: str) -> None:
        """Keep pictures of the page in STORY_SHOTS, where it is set: wide in both themes, and
        narrow.
        """
        folder = os.environ.get("STORY_SHOTS")
        if not folder:
            return
        Path(folder).mkdir(parents=True, exist_ok=True)
        for theme in ("light", "dark"):
            self.page.emulate_media(color_scheme=theme)
            for size in ("1440", "390") if theme == "light" else ("1440",):
                self.picture(Path(folder) / f"{name}-{size}-{theme}.png", size)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1440, "height": 900})

    def picture(self, path: Path, size: str = "1440", *, full: bool = True) -> None:
        """Write one picture."""
        width, height = SIZES[size]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate("document.fonts.ready")
        self.page.screenshot(path=path, full_page=full, animations="disabled")


@contextmanager
def person(
    browser: Browser,
    username: str,
    stack: Stack,
    watch: Watch,
    *,
    patience: float,
    team: str = "",
    status: int = 200,
) -> Iterator[Person]:
    """Give a persona a browser of their own, signed in. status: 403 for somebody without a role."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme="light", accept_downloads=True
    )
    try:
        someone = Person(username, context, stack, watch, patience)
        someone.sign_in(team, status)
        yield someone
    finally:
        context.close()
