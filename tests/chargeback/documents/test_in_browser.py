"""A statement in a real browser: wide and narrow, in both themes, without a complaint."""

from functools import partial

import pytest

from apps.chargeback.documents import actions, reconcile
from tests.chargeback.budgets.test_in_browser import answer
from tests.chargeback.documents.test_reconcile import SOON, documents
from tests.chargeback.pricing import finance
from tests.chromium import running_browser
from tests.portal.test_style import SHOTS

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(client, november, store):
    """A statement whose PDF is made, one that failed, one that is being made, and their month."""
    being, corrected = documents()[3:]
    for document in documents()[:2]:
        reconcile.make_document(document=document, archive=store, now=SOON)
    reconcile.make_document(document=corrected, archive=store, now=corrected.next_check_at)
    failed = documents()[2]
    message = "It cannot be set: the text “临” could not be displayed. Tell your platform team."
    actions.record_failed(document=failed, reason="SETTING", message=message, now=SOON)
    client.force_login(finance("reads"))
    addresses = {
        "made": corrected.statement.get_absolute_url(),
        "failed": failed.statement.get_absolute_url(),
        "being": being.statement.get_absolute_url(),
        "month": failed.statement.close.get_absolute_url(),
    }
    return {name: (address, client.get(address)) for name, address in addresses.items()}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_its_pages_fit_and_complain_of_nothing(pages, theme, width):
    assert {found.status_code for _, found in pages.values()} == {200}
    with running_browser() as browser:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce"
        )
        page = context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        for name, (address, found) in pages.items():
            page.route("**/*", partial(answer, found))
            page.goto(f"http://127.0.0.1:9{address}", wait_until="networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} px wide"
            if SHOTS:
                page.screenshot(
                    path=f"{SHOTS}/statement-{name}-{width}-{theme}.png", full_page=True
                )
            page.unroute("**/*")
    assert not complaints
