"""Both versions over a rollout, step by step, and the line that the gate draws."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.promotions.models import GateResult, RolloutCommit
from portal.pages import rollout_charts
from portal.pages.rollout_charts import Window, charts, window_of
from tests.factories import NOW, create_event
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

    def test_say_that_nobody_has_met_it_yet(self, client, carol, registered_model):
        promoted.suite()
        rollout = promoted.rolled(registered_model, 1, status="PROGRESSING")
        client.force_login(carol)
        answer = client.get(reverse("promotions:rollout_charts", args=[rollout.pk]))
        assert b"No weight has been accepted yet" in answer.content
