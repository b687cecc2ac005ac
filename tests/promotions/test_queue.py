"""A reviewer works through what waits for them: the queue, the keys, and the page on paper."""

import pytest
from django.urls import reverse

from apps.promotions.models import Promotion
from tests.chromium import running_browser
from tests.factories import NOW, RegisteredModelFactory
from tests.pages import answer, joined
from tests.portal.test_style import SHOTS
from tests.promotions import factories

pytestmark = pytest.mark.django_db
COST = {
    "method": "replacement-cost-1", "computed_at": "2026-11-02T09:00:00+00:00",
    "baseline_usd": "8840", "candidate_usd": "9120", "words": "Measured over 30 whole days.",
    "is_simulated": True,
}  # fmt: skip


@pytest.fixture
def waiting(alice):
    """Three proposals of three models, oldest first; one costs more, of one nothing is known."""
    made = []
    for place, name in enumerate(("first", "second", "third")):
        model = RegisteredModelFactory(name=name, owner_team=alice.team, created_by=alice)
        factories.suite()
        baseline = factories.live(model, 1).model_version
        version = factories.version(model, 2)
        made.append(
            Promotion.objects.create(
                registered_model=model, model_version=version, baseline=baseline,
                eval_run=factories.run(version), manifest_digest=version.manifest_digest,
                policy_revision=factories.policy(model), requested_by=alice,
                requested_at=NOW.replace(minute=place), justification="Better codes.",
                cost_effect=COST if place else {},
            )
        )  # fmt: skip
    return made


def url(promotion):
    return reverse("promotions:promotion_detail", args=[promotion.pk])


class TestQueue:
    def test_leads_from_what_waited_longest_to_the_newest(self, client, carol, waiting):
        client.force_login(carol)
        first, second, third = waiting
        page = joined(client.get(url(second)).content)
        assert "2 of 3 that wait for you" in page
        assert f'rel="prev" href="{url(first)}"' in page
        assert f'rel="next" href="{url(third)}"' in page
        assert 'rel="prev"' not in joined(client.get(url(first)).content)
        assert 'rel="next"' not in joined(client.get(url(third)).content)

    def test_is_only_of_those_who_decide(self, client, alice, charlie, waiting):
        for person in (alice, charlie):
            client.force_login(person)
            assert "that wait for you" not in joined(client.get(url(waiting[0])).content)


class TestCost:
    def test_is_told_with_what_it_rests_on_and_not_invented(self, client, carol, waiting):
        client.force_login(carol)
        page = joined(client.get(url(waiting[1])).content)
        assert "about $9,120" in page and "about $280 more" in page
        assert "Measured over 30 whole days." in page
        assert "an estimate from simulated prices" in page
        page = joined(client.get(url(waiting[0])).content)
        assert "A worker works it out" in page and "$0" not in page


def test_keys_walk_the_queue_and_begin_a_decision_but_decide_nothing_alone(client, carol, waiting):
    client.force_login(carol)
    found = client.get(url(waiting[1]))
    sent = []

    def take(route, request):
        if request.method == "POST":
            sent.append((request.url, request.post_data))
        answer(found, route, request)

    with running_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.route("**/*", take)
        page.goto(f"http://127.0.0.1:9{url(waiting[1])}")
        page.keyboard.press("?")
        assert page.get_by_role("dialog", name="Keys").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("r")
        assert page.evaluate("() => document.activeElement.name") == "reason"
        page.keyboard.type("The codes ar")  # keys of the page are letters in a field
        assert not sent
        with page.expect_navigation():
            page.keyboard.press("Control+Enter")
        ((address, body),) = sent
        assert address.endswith("/reject/") and "reason=The+codes+ar" in body
        for key, target in (("j", waiting[2]), ("k", waiting[0])):
            page.goto(f"http://127.0.0.1:9{url(waiting[1])}")
            with page.expect_navigation():
                page.keyboard.press(key)
            assert page.url.endswith(url(target))
        page.emulate_media(media="print")
        hidden = ".sidebar, .topbar, .decide, .queue"
        assert page.evaluate(
            "css => [...document.querySelectorAll(css)].every(e => !e.offsetParent)", hidden
        )
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/paper.png", full_page=True)
