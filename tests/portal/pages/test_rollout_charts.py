"""Both versions over a rollout, step by step, and the line that the gate draws."""

from datetime import timedelta
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.promotions.models import GateResult, RolloutCommit
from portal.pages import rollout_charts
from portal.pages.rollout_charts import Window, charts, window_of
from tests.chromium import running_browser
from tests.factories import NOW, create_event
from tests.pages import answer
from tests.portal.test_style import SHOTS
from tests.promotions import factories as promoted

MINUTE = timedelta(minutes=1)


class TestWindow:
    @pytest.mark.parametrize(
        ("minutes", "step", "count"),
        [(5, timedelta(seconds=10), 31), (58, MINUTE, 59), (60 * 24, timedelta(hours=1), 25)],
    )
    def test_has_few_steps_and_begins_with_a_whole_one(self, minutes, step, count):
        start = NOW.replace(hour=8, minute=59, second=7)
        window = Window.of(start, start + minutes * MINUTE)
        assert window.step == step
        assert len(window.moments) == count
        assert window.moments[0] <= start < window.moments[1]
        assert window.moments[-1] < window.end <= window.moments[-1] + step
        whole = window.start - window.start.replace(hour=0, minute=0, second=0)
        assert not whole % step


@pytest.fixture
def rollout(registered_model):
    """The second version at 10 %, judged there, and then at 50 %."""
    promoted.suite()
    baseline = promoted.live(registered_model, 1).model_version
    made = promoted.rolled(
        registered_model, 2, status="PROGRESSING", weight=50, baseline=baseline,
        steps=[10, 50, 100], health={"baseline": figures(300.0), "candidate": figures(280.0)},
    )  # fmt: skip
    first, second = (
        RolloutCommit.objects.create(
            rollout=made, step=step, sha=digit * 40, committed_at=NOW + at, observed_at=NOW + at
        )
        for step, digit, at in (("SHIFT_10", "a", MINUTE), ("SHIFT_50", "b", 6 * MINUTE))
    )
    GateResult.objects.create(
        commit=first, verdict="PASSED", judged_at=NOW + 6 * MINUTE, words="Good.",
        candidate=figures(180.0), baseline=figures(200.0),
    )  # fmt: skip
    assert second.weight == made.weight
    return made


def figures(ttft):
    return {"error_percent": 1.0, "ttft_p95_ms": ttft, "tokens_per_second": 50.0, "calls": 99}


def call(version, at, ttft=200.0, outcome="METERED"):
    return create_event(
        event_id=uuid4(), occurred_at=at, received_at=at, received_via="OTLP", outcome=outcome,
        model="prior-auth-extract", version=f"prior-auth-extract-v{version}", response_code=200,
        input_tokens=10, output_tokens=20, duration_ms=500, ttft_ms=ttft,
    )  # fmt: skip


@pytest.mark.django_db
class TestCharts:
    def test_show_both_versions_and_what_the_gate_allowed_at_each_weight(
        self, rollout, django_assert_num_queries
    ):
        for minutes, version, ttft in ((2, 1, 210.0), (2, 2, 190.0), (7, 2, 290.0), (7, 1, 310.0)):
            call(version, NOW + minutes * MINUTE, ttft)
        call(2, NOW + 7 * MINUTE, None, "FAILED")
        commits = list(rollout.commits.select_related("gate"))
        window = window_of(rollout, commits, NOW + 10 * MINUTE)
        assert window.start <= NOW - 9 * MINUTE < window.start + window.step
        with django_assert_num_queries(1):
            ttft, errors, speed = charts(rollout, commits, window)
        assert [line.name for line in ttft.series] == ["v2", "v1", "Gate's limit"]
        place = {at: number for number, at in enumerate(window.moments)}
        first = max(at for at in place if at <= NOW + 2 * MINUTE)
        later = max(at for at in place if at <= NOW + 7 * MINUTE)
        assert [line.values[place[first]] for line in ttft.series] == [190.0, 210.0, 350.0]
        assert [line.values[place[later]] for line in ttft.series] == [290.0, 310.0, 475.0]
        assert ttft.series[2].values[0] is None  # before the first weight nothing is compared
        assert [line.values[place[later]] for line in errors.series] == [50.0, 0.0, 3.0]
        assert errors.series[0].values[place[first] + 1] is None  # no call is no 0 %
        assert speed.series[0].values[place[first]] == pytest.approx(40.0)
        assert speed.series[2].values[place[first]] == pytest.approx(40.0)

    def test_ask_again_while_it_moves_and_no_more_then(self, client, carol, rollout, monkeypatch):
        monkeypatch.setattr(rollout_charts, "now", lambda: NOW + 10 * MINUTE)
        client.force_login(carol)
        url = reverse("promotions:rollout_charts", args=[rollout.pk])
        call(2, NOW + 2 * MINUTE)
        answer = client.get(url, headers={"HX-Request": "true"})
        assert answer.status_code == 200
        assert b"Gate&#x27;s limit" in answer.content
        type(rollout).objects.filter(pk=rollout.pk).update(status="ABORTED", finished_at=NOW)
        assert client.get(url, headers={"HX-Request": "true"}).status_code == 286
        assert client.get(url).status_code == 200

    def test_speak_of_one_version_where_there_is_no_baseline(self, client, carol, registered_model):
        first = promoted.live(registered_model, 1)
        second = promoted.rolled(registered_model, 2, status="PROGRESSING",
                                 baseline=first.model_version)  # fmt: skip
        client.force_login(carol)
        for rollout, words in ((first, "The version as callers met it"),
                               (second, "Both versions as callers met them")):  # fmt: skip
            url = reverse("promotions:rollout_charts", args=[rollout.pk])
            assert words in client.get(url).content.decode()

    def test_say_that_nobody_has_met_it_yet(self, client, carol, registered_model):
        promoted.suite()
        rollout = promoted.rolled(registered_model, 1, status="PROGRESSING")
        client.force_login(carol)
        answer = client.get(reverse("promotions:rollout_charts", args=[rollout.pk]))
        assert b"No weight has been accepted yet" in answer.content


@pytest.mark.django_db
def test_a_browser_keeps_them_while_the_rest_of_the_page_is_replaced(client, carol, rollout):
    rows = type(rollout).objects.filter(pk=rollout.pk)
    rows.update(health=rollout.health | {"words": "Errors 1.0 %."})
    for minutes in range(1, 10):
        for version in (1, 2):
            call(version, NOW + minutes * MINUTE, 180.0 + 20 * minutes + 30 * version)
    rows.update(finished_at=NOW + 10 * MINUTE)
    client.force_login(carol)
    url = reverse("promotions:rollout_detail", args=[rollout.pk])
    page_found = client.get(url)
    live = client.get(url, headers={"HX-Request": "true"}).content
    charts_found = client.get(f"{url}charts/", headers={"HX-Request": "true"}).content
    asked = []

    def take(route, request):
        path = urlsplit(request.url).path
        if path.endswith("/charts/") or (path == url and not request.is_navigation_request()):
            asked.append(path)
            body = charts_found if path.endswith("/charts/") else live
            route.fulfill(headers={"content-type": "text/html"}, body=body)
        else:
            answer(page_found, route, request)

    with running_browser() as browser:
        for width, theme in ((1440, "light"), (390, "dark")):
            asked.clear()
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
            page.route("**/*", take)
            page.goto(f"http://127.0.0.1:9{url}")
            page.wait_for_selector("#rollout-charts svg")
            with page.expect_response(lambda found: urlsplit(found.url).path == url):
                pass  # the page's live part is asked for again
            page.wait_for_timeout(300)
            assert page.locator("#rollout-charts [data-chart-canvas] svg").count() == 3
            assert [path for path in asked if path != url] == [f"{url}charts/"]
            if SHOTS:
                page.locator("#rollout-charts").screenshot(path=f"{SHOTS}/charts-{width}.png")
            page.close()
