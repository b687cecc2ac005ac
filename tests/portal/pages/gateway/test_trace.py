"""The page of a call's trace: who may see it, what it shows, and what it says where there is
none.
"""

import os
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from apps.accounts.models import Role
from apps.traces.actions import keep_spans
from apps.traces.otlp import read_batch
from tests import pages
from tests.chromium import running_browser
from tests.factories import TeamFactory, UserFactory, create_event
from tests.traces.samples import batch, span

pytestmark = pytest.mark.django_db


def call(team, ago=timedelta(seconds=20), **more):
    moment = timezone.now()
    values = {
        "outcome": "METERED", "response_code": 200, "model": "extract", "version": "extract-v1",
        "input_tokens": 1200, "output_tokens": 30, **more,
    }  # fmt: skip
    return create_event(
        event_id=uuid4(), occurred_at=moment - ago, received_at=moment, received_via="OTLP",
        team=team, **values,
    )  # fmt: skip


def traced(one, ago=20.0):
    """Keep the steps of a call: gateway, gate, engine."""
    trace, named = uuid4().hex, {"guid:x-request-id": str(one.event_id)}
    tokens = {"gen_ai.usage.input_tokens": 1200, "gen_ai.usage.output_tokens": 30}
    root = span(trace=trace, ago=ago, lasts=2.0, attributes=named | {"http.status_code": "200"})
    gate = span(
        trace=trace, parent=root["id"], service="gate", name="judge", ago=ago, lasts=1.95,
        attributes={"quartermaster.verdict": "passed"} | tokens,
    )  # fmt: skip
    engine = span(
        trace=trace, parent=root["id"], service="extract-v1", name="llm_request", ago=ago - 0.1,
        lasts=1.8, failed=True,
        attributes={"quartermaster.stand_in": True, "gen_ai.latency.time_in_queue": 0.2} | tokens,
    )  # fmt: skip
    keep_spans(spans=read_batch(batch(root, gate, engine)).spans, now=timezone.now())


@pytest.fixture
def stranger(db):
    return UserFactory(
        username="stranger", team=TeamFactory(slug="prior-auth"), with_roles=[Role.DEVELOPER]
    )


@pytest.fixture
def auditor(db):
    return UserFactory(username="ada", with_roles=[Role.AUDITOR])


def page(client, one):
    return client.get(f"/gateway/trace/{one.event_id}/")


class TestTrace:
    def test_is_for_whom_the_call_is_for(self, client, charlie, stranger, auditor):
        mine, theirs, nameless = call("claims-review"), call("prior-auth"), call("")
        for one in (mine, theirs, nameless):
            traced(one)
        sees = {charlie: [200, 404, 404], stranger: [404, 200, 404], auditor: [200, 200, 200]}
        for person, statuses in sees.items():
            client.force_login(person)
            assert [page(client, one).status_code for one in (mine, theirs, nameless)] == statuses

    def test_is_not_there_for_a_call_that_is_not_there(self, client, auditor):
        client.force_login(auditor)
        unknown = uuid4()
        named = {"guid:x-request-id": str(unknown)}
        keep_spans(spans=read_batch(batch(span(attributes=named))).spans, now=timezone.now())
        assert client.get(f"/gateway/trace/{unknown}/").status_code == 404
        assert client.get("/gateway/trace/nonsense/").status_code == 404

    def test_shows_each_hop_with_its_time_and_tokens(self, client, charlie):
        one, other = call("claims-review"), call("claims-review")
        traced(one)
        traced(other, ago=15.0)
        client.force_login(charlie)
        found = page(client, one)
        lines = found.context["found"].lines
        assert [(line.span.service, line.depth) for line in lines] == [
            ("ai-gateway", 0), ("gate", 1), ("extract-v1", 1),
        ]  # fmt: skip
        text = pages.joined(found.content)
        assert "2.00 s in all" in text and "3 steps." in text
        assert text.count("1,200 in · 30 out tokens") == 2
        assert "Waited for a seat" in text and "200 ms" in text
        assert "A labeled stand-in answers calls here instead of a model" in text
        assert str(one.event_id) in text and str(other.event_id) not in text

    def test_is_led_to_from_the_call_and_from_the_list_of_calls(self, client, charlie):
        one = call("claims-review")
        client.force_login(charlie)
        address = f'href="/gateway/trace/{one.event_id}/"'
        assert address in client.get(f"/gateway/why/?request_id={one.event_id}").content.decode()
        assert address in client.get("/usage/").content.decode()

    def test_says_of_a_call_that_nobody_traced(self, client, charlie):
        client.force_login(charlie)
        text = pages.joined(page(client, call("claims-review")).content)
        assert "This call was not traced" in text
        assert "kept for 24 hours" not in text

    def test_says_of_an_older_call_how_long_steps_are_kept(self, client, charlie):
        client.force_login(charlie)
        text = pages.joined(page(client, call("claims-review", timedelta(hours=25))).content)
        assert "Steps are kept for 24 hours." in text
        assert "This call was not traced" not in text

    def test_asks_no_more_for_more_steps(self, client, charlie, django_assert_max_num_queries):
        one, trace = call("claims-review"), uuid4().hex
        named = {"guid:x-request-id": str(one.event_id)}
        spans = [span(trace=trace, attributes=named) for _ in range(60)]
        keep_spans(spans=read_batch(batch(*spans)).spans, now=timezone.now())
        client.force_login(charlie)
        with django_assert_max_num_queries(25):
            assert len(page(client, one).context["found"].lines) == 60


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_is_read_with_the_keyboard_and_on_a_phone(client, charlie, width, scheme):
    one = call("claims-review")
    traced(one)
    client.force_login(charlie)
    found = page(client, one)
    with running_browser() as browser:
        tab = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            base_url="http://portal.test",
        )
        tab.route("**", lambda route, request: pages.answer(found, route, request))
        tab.goto("/gateway/trace/")
        waited = tab.get_by_text("Waited for a seat")
        tab.locator("summary", has_text="extract-v1").focus()
        tab.keyboard.press("Enter")
        expect(waited).to_be_visible()
        if folder := os.environ.get("PICTURES"):
            tab.screenshot(path=f"{folder}/trace-{width}-{scheme}.png", full_page=True)
        tab.keyboard.press("Enter")
        expect(waited).to_be_hidden()
        bar = tab.get_by_role("img", name="Began 100 ms after the start, took 1.80 s")
        expect(bar).to_be_visible()
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
