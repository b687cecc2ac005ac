"""A table in a real browser: what people type, choose and click changes the rows and the address,
and the way back undoes it step by step.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.db import connections
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import expect

from apps.chargeback.rating import Prices
from tests.chargeback.pricing import price
from tests.chromium import running_browser
from tests.factories import RegisteredModelFactory

pytestmark = pytest.mark.django_db
HOST = "http://127.0.0.1:9"
ASKED = ("hx-request", "hx-target", "hx-current-url", "hx-history-restore-request")


@pytest.fixture
def answer(client, charlie):
    """Return what answers a browser as the portal does, with what this test has stored.

    A thread of its own asks, on the test's connection: the browser's loop has the test's thread.
    """
    client.force_login(charlie)
    connection = connections["default"]
    connection.inc_thread_sharing()
    thread = ThreadPoolExecutor(
        1, initializer=connections.__setitem__, initargs=("default", connection)
    )

    def answer(route):
        url = urlsplit(route.request.url)
        if url.path.startswith("/static/app/"):
            return route.fulfill(path=settings.ASSETS_DIR / url.path.rpartition("/")[2])
        given = route.request.headers
        headers = {name: given[name] for name in ASKED if name in given}
        found = thread.submit(client.get, f"{url.path}?{url.query}", headers=headers).result()
        return route.fulfill(
            status=found.status_code, headers=dict(found.items()), body=found.content
        )

    with thread:
        yield answer
    connection.dec_thread_sharing()


@pytest.fixture
def models(alice):
    """Thirty models, more than a page holds, each at a price of its own."""
    yesterday = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    for number in range(30):
        model = RegisteredModelFactory(name=f"model-{number:02}", owner_team=alice.team)
        price(model, Prices(Decimal(100 - number), Decimal(1), Decimal(2)), yesterday)


def asks(browser_page, **parameters: str) -> None:
    """Wait until the browser's address asks for this and nothing else."""

    def is_asked(address: str) -> bool:
        found = parse_qs(urlsplit(address).query)
        return {name: ",".join(values) for name, values in found.items()} == parameters

    browser_page.wait_for_url(is_asked)


def shows(page, numbers) -> None:
    """Wait until the table has these models, in this order."""
    names = page.locator("#table-models tbody th a")
    expect(names).to_have_text([f"model-{number:02}" for number in numbers])


def heads(page) -> list[str]:
    """Return the columns' heads, without their units."""
    return [text.split("\n")[0].strip() for text in page.locator("thead th").all_inner_texts()]


def test_what_people_do_changes_the_rows_and_the_address_and_back_undoes_it(answer, models):
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.route("**/*", answer)
        page.goto(f"{HOST}{reverse('catalog:model_list')}?view=table")
        box, sorted_head = page.locator("#table-models-q"), page.locator("th[aria-sort]")
        shows(page, range(24))
        before = heads(page)

        page.get_by_role("link", name="Next").click()
        shows(page, range(24, 30))
        asks(page, view="table", page="2")

        box.press_sequentially("MODEL-2", delay=30)
        shows(page, range(20, 30))
        asks(page, view="table", q="MODEL-2")
        expect(box).to_be_focused()
        expect(box).to_have_value("MODEL-2")

        page.get_by_role("columnheader", name="Price").get_by_role("link").click()
        shows(page, range(29, 19, -1))
        asks(page, view="table", q="MODEL-2", sort="price")
        expect(sorted_head).to_contain_text("Price")
        expect(sorted_head).to_have_attribute("aria-sort", "ascending")

        page.get_by_text("Columns", exact=True).click()
        page.get_by_role("checkbox", name="Task").uncheck()
        page.get_by_role("checkbox", name="Family").check()
        page.get_by_role("button", name="Show these columns").click()
        expect(page.get_by_role("columnheader", name="Family")).to_be_visible()
        expect(page.get_by_role("columnheader", name="Task")).to_have_count(0)
        asks(page, view="table", q="MODEL-2", sort="price", columns="family,context,data,measured")
        page.reload()
        shows(page, range(29, 19, -1))
        assert set(heads(page)) ^ set(before) == {"Task", "Family"}

        for numbers, address in (
            (range(29, 19, -1), {"view": "table", "q": "MODEL-2", "sort": "price"}),
            (range(20, 30), {"view": "table", "q": "MODEL-2"}),
            (range(24, 30), {"view": "table", "page": "2"}),
            (range(24), {"view": "table"}),
        ):
            page.go_back(wait_until="networkidle")
            asks(page, **address)
            shows(page, numbers)
            expect(page.locator(".sidebar")).to_have_count(1)
            expect(page.get_by_role("columnheader", name="Task")).to_be_visible()
            expect(box).to_have_value(address.get("q", ""))


def test_on_a_phone_filters_and_columns_open_where_they_can_be_seen(answer, models):
    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.route("**/*", answer)
        page.goto(f"{HOST}{reverse('catalog:model_list')}?view=table&page=2")
        page.get_by_text("More filters").click()
        family = page.get_by_role("combobox", name="Family")
        expect(family).to_be_in_viewport(ratio=1)
        family.select_option("SmolLM2")
        shows(page, range(24))
        asks(page, view="table", family="SmolLM2")

        page.get_by_text("Columns", exact=True).click()
        for name in ("Task", "Measured"):
            expect(page.get_by_role("checkbox", name=name)).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_classes_that_columns_name_in_python_are_in_the_style_sheet():
    built = max(settings.ASSETS_DIR.glob("app-*.css"), key=lambda path: path.stat().st_mtime)
    files = [*settings.BASE_DIR.glob("apps/*/tables.py"), *settings.BASE_DIR.glob("portal/pages/*")]
    named = {
        name
        for path in files
        if path.suffix == ".py"
        for given in re.findall(r'css="([^"]+)"', path.read_text())
        for name in given.split()
    }
    assert {"min-w-48", "nowrap"} <= named
    style = built.read_text()
    assert [name for name in sorted(named) if f".{name}" not in style] == []
