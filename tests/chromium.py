"""Which browser the story runs in, and how it is started: one that asks nobody but this machine.

`python -m tests.chromium` tells by its exit status whether there is one.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Names other than this machine's lead nowhere: a page that asked for one would fail, and not only
# be recorded.
LOCAL_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"
QUIET = ["--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage", LOCAL_ONLY]


def executable(playwright: Playwright) -> str | None:
    """Return the browser's path: the one that CHROMIUM names, one on PATH, Playwright's own, else
    None.
    """
    named = os.environ.get("CHROMIUM", "")
    if named:
        return named
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    own = Path(playwright.chromium.executable_path)
    return found or (str(own) if own.exists() else None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start the browser. Skips the test where there is none; on CI that is an error."""
    with sync_playwright() as playwright:
        path = executable(playwright)
        if path is None:
            why = "no Chromium here: install one, or name it in CHROMIUM"
            assert not os.environ.get("CI"), why
            pytest.skip(why)
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    with sync_playwright() as found:
        sys.exit(executable(found) is None)
