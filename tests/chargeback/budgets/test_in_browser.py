"""Budgets in a real browser: wide and narrow, in both themes, without a complaint."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import product

import pytest

from apps.access.budgets import actions
from tests.access.budgets.test_actions import WHY, boost, change
from tests.chargeback.budgets.test_queries import AT, finance, hold, put, teams  # noqa: F401
from tests.chargeback.budgets.test_views import (  # noqa: F401
    clock,
    mine,
    spend,
    url,
)
from tests.chromium import running_browser
from tests.pages import answer
from tests.portal.test_style import SHOTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(client, mine, finance, teams, charlie, alice):  # noqa: F811
    """A team's budget with a forecast, a boost and a change that waits; the list of all."""
    put(finance, team=teams[1], amount=9)
    for back in range(1, 25):
        spend(2 + back % 3, AT.replace(hour=1) - timedelta(days=back))
    hold(usd="3", tokens=30)
    asked = boost(mine, charlie, amount=20, now=AT)
    actions.approve_boost(request=asked, approver=alice, now=AT, **WHY)
    waiting = change(mine, charlie, now=AT, amount=Decimal(200))
    client.force_login(finance)
    addresses = {
        "list": url("budget_list"),
        "detail": url("budget_detail", mine.series),
        "change": url("budget_change", mine.series),
        "boost": url("boost_create", mine.series, amount="20", end="2026-11-30"),
        "asked": url("budget_change_detail", waiting.pk),
        "new": url("budget_create"),
    }
    return {name: (address, client.get(address)) for name, address in addresses.items()}


def test_a_browser_shows_them_without_complaint(pages):
    # From here on nothing may ask the database: Playwright runs a loop in this thread.
    with running_browser() as browser:
        for theme, width in product(("light", "dark"), (1440, 390)):
            look_at_all(browser, pages, theme, width)


def look_at_all(browser, pages, theme, width):
    """Open each page in a tab of its own, all at once; nothing may be said in a console."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    context.on("console", lambda message: said.append(message.text))
    context.on("weberror", lambda error: said.append(str(error.error)))
    tabs = {name: context.new_page() for name in pages}
    for name, (address, found) in pages.items():
        tabs[name].route("**/*", partial(answer, found))
        tabs[name].goto(f"http://127.0.0.1:9{address}")
    for name, page in tabs.items():
        page.wait_for_load_state("networkidle")
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/budgets-{name}-{theme}-{width}.png", full_page=True)
        where = (name, theme, width)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, where
        assert page.locator(".chart-canvas svg").count() == (name == "detail"), where
    assert said == [], (theme, width)
    context.close()
