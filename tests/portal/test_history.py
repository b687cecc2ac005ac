"""The way back in a real browser, after htmx swapped a part of a page and changed its address."""

from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.urls import reverse

from tests.chromium import running_browser

pytestmark = pytest.mark.django_db


def test_the_way_back_shows_the_whole_page(client, charlie):
    client.force_login(charlie)
    where = reverse("access:request_list")
    whole = client.get(where)
    part = client.get(
        where, {"q": "nobody"}, headers={"HX-Request": "true", "HX-Target": "table-requests"}
    )
    assert "<html" not in part.content.decode()
    asked = []

    def answer(route) -> None:
        """Answer as the portal does, without asking the database from the browser's loop."""
        url, headers = urlsplit(route.request.url), route.request.headers
        if url.path == where:
            asked.append((url.query, headers.get("hx-request", "")))
            found = part if headers.get("hx-request") else whole
            route.fulfill(headers=dict(found.items()), body=found.content)
        elif url.path.startswith("/static/app/"):
            route.fulfill(path=settings.ASSETS_DIR / url.path.rpartition("/")[2])
        else:
            route.fulfill(status=204)

    with running_browser() as browser:
        page = browser.new_page()
        page.route("**/*", answer)
        page.goto(f"http://127.0.0.1:9{where}", wait_until="networkidle")
        page.locator("#table-requests-q").fill("nobody")
        page.wait_for_url("**/?*q=nobody*")
        page.go_back(wait_until="networkidle")
        page.locator("main h1").wait_for()
        assert page.locator(".sidebar").count() == 1
        assert page.locator("#table-requests").count() == 1
        assert urlsplit(page.url).query == ""
    assert asked[-1] == ("", "")
