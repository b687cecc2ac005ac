"""/style: every piece is there, and a browser shows it in both themes, wide and narrow."""

import os
import re
from html.parser import HTMLParser
from itertools import product
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.urls import reverse

from apps.common.badges import TONES
from tests.chromium import running_browser
from tests.pages import joined

SHOTS = os.environ.get("STYLE_SHOTS", "")  # a folder: look at what the test saw
VOID = {"area", "br", "hr", "img", "input", "link", "meta", "path", "rect", "use", "wbr"}


class Nesting(HTMLParser):
    """Notes elements that are closed in the wrong place, and ids that stand twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.ids.extend(value for name, value in attrs if name == "id")
        if any(name == "style" or name.startswith("on") for name, _ in attrs):
            self.wrong.append(f"inline style or script on {tag}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")


@pytest.fixture
def html(client, charlie):
    client.force_login(charlie)
    return client.get(reverse("style")).content.decode()


class TestStyle:
    def test_is_for_people_who_are_signed_in(self, client, db):
        assert client.get(reverse("style")).status_code == 302

    def test_is_well_formed_and_names_nothing_twice(self, html):
        found = Nesting()
        found.feed(html)
        assert (found.wrong, found.open) == ([], [])
        assert sorted(name for name in set(found.ids) if found.ids.count(name) > 1) == []

    @pytest.mark.parametrize(
        "piece",
        [
            *(f'<span class="badge badge-{tone}"' for tone in TONES),
            "No claims yet",  # the empty table
            "no price",  # an unknown amount
            "not measured",
            "1 of 5 unknown",  # in the total row
            "More filters",
            'aria-sort="ascending"',
            "Nothing was measured in this time.",
            "goes on",
            "Your decision",
            "The evidence no longer holds.",
            "Nobody decides on their own proposal.",
            "This field is required.",
            "120 MB of 269 MB · 44 %",
            "the total is not known",
            "The key is locked.",
            "≈ 5 s (2 starts, simulated nodes)",
            "unchanged lines",
            "Quote request",
            "step-done",
            "step-now",
            "step-next",
            "step-failed",
            "stat-key",
            "&lt;b&gt;Sorting&lt;/b&gt;",  # what comes from outside stays text
        ],
    )
    def test_shows_each_piece_in_each_state(self, html, piece):
        assert piece in joined(html)

    def test_its_table_searches_filters_and_exports(self, client, charlie):
        client.force_login(charlie)
        where = reverse("style")
        found = joined(client.get(where, {"q": "letters"}).content)
        assert "1 model" in found
        assert "appeals-triage" not in found
        drifted = client.get(where, {"state": "warn"}).context["table"]
        assert [line.row.name for line in drifted.lines] == ["prior-auth-extract"]
        page = joined(client.get(where, {"team": "moon", "page": "9"}).content)
        assert "“moon” is not a value of the filter Team." in page
        answer = client.get(where, {"format": "csv", "columns": "digest"})
        first, *rows = b"".join(answer.streaming_content).decode().splitlines()
        assert first == "Model,State,Calls,Cost (this month),Digest"
        assert len(rows) == 5


def test_a_browser_shows_it_without_complaint(client, charlie):
    client.force_login(charlie)
    found = client.get(reverse("style"))
    # From here on nothing may ask the database: Playwright runs a loop in this thread.
    with running_browser() as browser:
        for theme, width in product(("light", "dark"), (1440, 390)):
            page = browser.new_page(
                viewport={"width": width, "height": 900},
                color_scheme=theme,
                timezone_id="America/New_York",
            )
            page.route("**/*", lambda route: answer(route, found))
            look_at(page, theme, width)
            page.close()


def look_at(page, theme, width):
    """Open the page, point at a chart, open its table; nothing may be said in the console."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://127.0.0.1:9{reverse('style')}", wait_until="networkidle")
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/style-{theme}-{width}.png", full_page=True)
    assert page.locator(".chart-canvas svg").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.locator("html").get_attribute("data-theme") == theme
    hover(page, "lines", 0.9)
    tip = page.locator("#chart-lines .chart-tip").inner_text()
    assert re.search(r"24 Nov,? \d\d:\d\d\s+2026-11-24 \d\d:\d\d:00 UTC", tip), tip
    assert re.search(r"\d+ ms \(\d+ ms to \d+ ms\)", tip), tip
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/hover-{theme}-{width}.png")
    page.keyboard.press("t")
    assert page.locator("#chart-lines table").is_visible()
    page.keyboard.press("t")
    assert not page.locator("#chart-lines table").is_visible()
    assert said == []


def answer(route, page) -> None:
    """Answer the browser without asking the database, which another task's connection cannot see:
    with the page, and with built files; other parts of the shell stay empty.
    """
    path = urlsplit(route.request.url).path
    if path == reverse("style"):
        route.fulfill(headers=dict(page.items()), body=page.content)
    elif path.startswith("/static/app/"):
        route.fulfill(path=settings.ASSETS_DIR / path.rpartition("/")[2])
    else:
        route.fulfill(status=204)


def hover(page, chart: str, share: float) -> None:
    """Point at a chart, so far to the right."""
    canvas = page.locator(f"#chart-{chart} .chart-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    page.locator(f"#chart-{chart} .chart-tip").wait_for()
