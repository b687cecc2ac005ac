"""The page of one evaluation run: progress first, then figures, then codes beside codes."""

from datetime import timedelta

import pytest
from django.urls import reverse

from apps.evals import actions
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.scoring.scores import PacketScore
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_suite
from apps.fleet.models import NodeClaim, Replica
from tests.database import unguarded
from tests.factories import NOW, ModelVersionFactory, UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
EARLIER = NOW - timedelta(hours=1)


@pytest.fixture
def suite(db):
    return ensure_suite(suite=shipped.load(), now=NOW, judges=[EvalSuite.ANY])


@pytest.fixture
def run(suite, registered_model, alice):
    version = ModelVersionFactory(registered_model=registered_model, number=1)
    return actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)


@pytest.fixture
def page(client):
    """Return a run's page as a person sees it."""

    def show(person, run, **headers):
        client.force_login(person)
        answer = client.get(reverse("evals:run_detail", args=[run.pk]), headers=headers)
        assert answer.status_code == 200
        return joined(answer.content)

    return show


@pytest.fixture
def earlier(suite, registered_model, alice):
    """A run of the model: 90 s until it served, 60 s of answers, on one of KWOK's nodes."""
    old = ModelVersionFactory(registered_model=registered_model, number=7)
    found = actions.start_eval_run(version=old, suite=suite, actor=alice, now=EARLIER)
    serving = EARLIER + timedelta(seconds=90)
    with unguarded():
        EvalRun.objects.filter(pk=found.pk).update(
            status="PASSED", report_digest="sha256:x", serving_at=serving,
            finished_at=serving + timedelta(seconds=60), removed_at=serving + timedelta(seconds=64),
        )  # fmt: skip
    seen = {"created_at": EARLIER, "learned_at": EARLIER}
    NodeClaim.objects.create(uid="c", name="claim-1", provider_id="kwok://claim-1", **seen)
    Replica.objects.create(
        uid="p", name="pod-1", namespace="evals", service=found.inference_service,
        node_claim_name="claim-1", **seen,
    )  # fmt: skip
    return found


def serves(run):
    actions.record_deployed(run=run, commit="c" * 40, now=NOW)
    actions.record_serving(
        run=run, engine="stand-in", instance_type="g5.xlarge", now=NOW + timedelta(seconds=30)
    )


def answers(run, packet, expected, predicted):
    score = PacketScore(expected, predicted, 1, 10.0, 20.0, 5)
    actions.record_packet(run=run, packet_id=packet, score=score, now=NOW)


class TestWhileItRuns:
    def test_progress_comes_first_with_typical_times_and_what_they_rest_on(
        self, page, charlie, earlier, run
    ):
        found = page(charlie, run)
        assert "every 2s" in found
        assert "usually ≈ 2 min to a result" in found  # 90 s and 60 s
        assert "of <span" not in found
        assert "≈ 90 s" in found
        assert "≈ 60 s" in found
        assert "Typical times are those of one earlier run, on simulated nodes." in found
        assert found.index('class="stepper"') < found.index("What happened")
        assert "F1 of codes</div>" not in found

    def test_does_not_call_real_nodes_simulated(self, page, charlie, earlier, run):
        NodeClaim.objects.update(provider_id="aws:///us-east-1a/i-1")
        assert "of one earlier run." in page(charlie, run)

    def test_says_that_nobody_knows_without_an_earlier_run(self, page, charlie, run):
        assert "No earlier run tells how long this takes." in page(charlie, run)

    def test_counts_packets(self, page, charlie, run):
        serves(run)
        answers(run, "packet-01", ("E11.9",), ("E11.9",))
        found = page(charlie, run)
        assert f"1 of {run.suite.packet_count} · " in found
        assert "30 s" in found  # how long the start took


class TestWhenItHasEnded:
    def test_shows_figures_verdicts_and_the_stand_in(self, page, charlie, run):
        serves(run)
        answers(run, "packet-01", ("E11.9",), ("E11.9",))
        actions.record_eval_run(run=run, now=NOW + timedelta(seconds=95))
        found = page(charlie, run)
        for words in ("1.000", "at least 0.250", "Met", "labeled stand-in", run.report_digest):
            assert words in found
        assert "95 s in all" in found
        assert "usually" not in found

    def test_shows_the_candidates_codes_beside_the_right_ones(self, page, charlie, run):
        serves(run)
        answers(run, "packet-001", ("E11.9", "I10"), ("E11.9", "99213"))
        answers(run, "packet-002", ("J45.909",), ("J45.909",))
        actions.record_eval_run(run=run, now=NOW)
        first, second = page(charlie, run).split('id="text-packet-00')[1:]
        assert "1 missed, 1 wrong" in first
        codes = [part.split("</span>")[0] for part in first.split('<span class="mono">')[1:]]
        assert codes[:4] == ["E11.9", "I10", "E11.9", "99213"]
        assert (
            first.count('class="tone-bad">missed<') == first.count('class="tone-bad">wrong<') == 1
        )
        assert "All correct" in second
        assert (
            shipped.load().packets[0].text.split()[0] in first
        )  # the packet, behind its disclosure

    def test_shows_why_it_ended_with_an_error(self, page, alice, run):
        actions.record_deployed(run=run, commit="c" * 40, now=NOW)
        why = "Karpenter found no GPU."
        actions.fail_eval_run(run=run, reason="NOT_READY", message=why, now=NOW)
        found = page(alice, run)
        assert why in found
        assert "Run again" in found
        assert "step-failed" in found

    def test_a_change_that_the_digits_do_not_show_is_none(self, page, charlie, earlier, run):
        serves(run)
        answers(run, "packet-01", ("E11.9",), ("E11.9",))
        actions.record_eval_run(run=run, now=NOW)
        with unguarded():
            EvalRun.objects.filter(pk=earlier.pk).update(metrics=run.metrics | {"f1": 0.9})
        with unguarded():
            EvalRun.objects.filter(pk=run.pk).update(baseline_run=earlier)
        found = page(charlie, run)
        assert "+0.100" in found
        assert "no change" in found
        assert "+0.000" not in found


def test_answers_htmx_with_the_live_part_alone(page, charlie, run):
    found = page(charlie, run, **{"HX-Request": "true"})
    assert found.count('id="live"') == 1
    assert "<html" not in found


def test_is_not_there_without_a_role(client, run):
    client.force_login(UserFactory(team=None))
    answer = client.get(reverse("evals:run_detail", args=[run.pk]))
    assert answer.status_code in (302, 403, 404)


def test_asks_as_many_queries_for_many_packets_as_for_one(
    client, charlie, earlier, run, django_assert_max_num_queries
):
    client.force_login(charlie)
    serves(run)
    for number in range(1, 9):
        answers(run, f"packet-0{number}", ("E11.9",), ("I10",))
    # session, person, roles · run, earlier runs, their machines, packets, audit
    with django_assert_max_num_queries(9):
        client.get(reverse("evals:run_detail", args=[run.pk]))
