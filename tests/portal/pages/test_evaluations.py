"""The page of one evaluation run: progress first, then figures, then codes beside codes."""

import html
import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.evals import actions
from apps.evals.models import EvalRun, EvalSuite, Side
from apps.evals.runs.comparing import Compared, Measured
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_suite
from apps.evals.suites.queries import packet_of
from apps.fleet.models import NodeClaim, Replica
from tests.database import unguarded
from tests.evals.samples import RIGHT, WRONG, answer, judged, serves
from tests.factories import NOW, ModelVersionFactory, UserFactory
from tests.pages import joined
from tests.promotions import factories as promoted

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
def against(suite, registered_model, alice):
    """A run of a version against one that serves."""
    candidate, live = (
        ModelVersionFactory(registered_model=registered_model, number=number) for number in (5, 4)
    )
    wanted = actions.Wanted(baseline=live, cost_limit_usd=Decimal("2.50"))
    return actions.start_eval_run(
        version=candidate, suite=suite, actor=alice, now=NOW, wanted=wanted
    )


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
        serves(run, now=NOW + timedelta(seconds=30))
        answer(run)
        found = page(charlie, run)
        assert f"1 of {run.suite.packet_count} · " in found
        assert "30 s" in found  # how long the start took

    def test_says_what_it_costs_and_may_be_canceled_by_who_may_start_it(
        self, page, alice, charlie, against, client
    ):
        found = page(alice, against)
        assert "Cost of its machines: at most $0.00; the run ends at $2.50." in found
        assert "Cancel the run" in found
        assert "Cancel the run" not in page(charlie, against)
        client.force_login(charlie)
        address = reverse("evals:run_cancel", args=[against.pk])
        assert client.post(address).status_code == 403
        client.force_login(alice)
        assert client.post(address).status_code == 302
        found = page(alice, against)
        assert f"{alice.name} canceled the run." in found
        assert "at most $0.00; the run would have ended at $2.50" in found
        assert client.post(address, follow=True).content.count(b"has ended already") == 1


class TestWhenItHasEnded:
    def test_shows_figures_verdicts_and_the_stand_in(self, page, charlie, run):
        judged(run, now=NOW + timedelta(seconds=95))
        found = page(charlie, run)
        for words in ("1.000", "at least 0.250", "The rule is met, without a baseline.",
                      "labeled: no model is loaded", run.report_digest):  # fmt: skip
            assert words in found
        assert "95 s in all" in found
        assert "usually" not in found
        assert "it has no baseline" in found
        assert "both sides answered" not in found

    def test_shows_both_sides_with_the_rule_and_what_became_of_it(self, page, charlie, against):
        judged(against, WRONG)
        found = page(charlie, against)
        live = against.baseline.name
        assert f"The rule is not met, against {live}: " in found
        assert f"in F1; {live} had 1.000 on the same packets" in found
        assert "−1.000" in found
        assert "not worse than that one by more than 0.25 in F1 of codes, with 95% conf" in found
        assert found.count("g5.xlarge") >= 2

    def test_shows_why_it_ended_with_an_error(self, page, alice, run):
        actions.record_deployed(run=run, commit="c" * 40, now=NOW)
        why = "Karpenter found no GPU."
        actions.fail_eval_run(run=run, reason="NOT_READY", message=why, now=NOW)
        found = page(alice, run)
        assert why in found
        assert "Run again" in found
        assert "step-failed" in found


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
        answer(run, f"packet-00{number}")
    # session, person, roles · run, earlier runs, their machines, audit
    with django_assert_max_num_queries(8):
        client.get(reverse("evals:run_detail", args=[run.pk]))


class TestPackets:
    @pytest.fixture
    def address(self, against):
        """A run in which one packet is right, one wrong, and one failed."""
        serves(against)
        for side in Side:
            answer(against, "packet-001", side=side, answer="E11.9 it is")
            answer(against, "packet-002", WRONG, side=side, answer="none")
        answer(against, "packet-003", WRONG, problem="ENDLESS", problem_words="Never ended.")
        return reverse("evals:packet_list", args=[against.pk])

    def rows(self, client, address, **query):
        found = client.get(address, query | {"format": "csv"})
        content = b"".join(found.streaming_content).decode()
        return [line.split(",") for line in content.strip().splitlines()[1:]]

    def test_are_listed_with_what_became_of_them_and_narrowed_by_it(self, client, charlie, address):
        client.force_login(charlie)
        everything = self.rows(client, address)
        assert len(everything) == 24
        assert [row[0] for row in self.rows(client, address, outcome="right")] == ["packet-001"]
        assert [row[0] for row in self.rows(client, address, outcome="wrong")] == ["packet-002"]
        assert [row[0] for row in self.rows(client, address, outcome="failed")] == ["packet-003"]
        planted = [row[0] for row in self.rows(client, address, kind="injection")]
        assert 0 < len(planted) < 24
        section = self.rows(client, address, section="history")
        assert 0 < len(section) < len(everything)
        shown = joined(client.get(address).content)
        assert "Without end" in shown
        assert "not asked yet" in shown

    def test_take_as_many_queries_for_many_as_for_one(
        self, client, charlie, address, django_assert_num_queries
    ):
        client.force_login(charlie)
        # session, person, roles · run, packets, results
        with django_assert_num_queries(6):
            client.get(address)

    def test_are_shown_one_by_one_with_both_answers(self, client, charlie, against, address):
        client.force_login(charlie)
        shown = joined(client.get(f"{address}packet-001/").content)
        assert "chronic obstructive pulmonary disease" in shown
        assert shown.count("E11.9 it is") == 2
        assert f"Candidate: {against.model_version.name}" in shown
        assert f"Baseline: {against.baseline.name}" in shown
        failed = joined(client.get(f"{address}packet-003/").content)
        assert "Never ended." in failed

    def test_are_shown_with_their_very_text(self, client, charlie, against, address):
        client.force_login(charlie)
        page = client.get(f"{address}packet-001/").content.decode()
        (shown,) = re.findall(r'<div class="packet-text">(.*?)</div>', page, re.DOTALL)
        assert shown.count("<mark") > 1
        plain = html.unescape(re.sub(r"<[^>]*>", "", shown))
        assert plain == packet_of(against.suite, "packet-001").text

    @pytest.mark.parametrize("packet", ["packet-099", "packet-004"])
    def test_are_not_there_before_they_were_asked(self, client, charlie, address, packet):
        client.force_login(charlie)
        assert client.get(f"{address}{packet}/").status_code == 404


class TestStart:
    @pytest.fixture
    def address(self, suite, registered_model):
        version = ModelVersionFactory(registered_model=registered_model, number=8)
        return reverse("evals:run_create", args=[version.registered_model.name, version.number])

    def test_shows_what_it_is_measured_against_and_what_it_may_cost(
        self, client, alice, address, earlier
    ):
        client.force_login(alice)
        found = joined(client.get(address).content)
        assert (
            "No version that may be served answers callers now: the run has no baseline." in found
        )
        assert "The run ends by itself where its machines may have cost $25.00" in found
        assert "It passes with every figure within its threshold" in found
        live = promoted.live(earlier.model_version.registered_model, 21)
        with unguarded():
            EvalRun.objects.filter(pk=earlier.pk).update(instance_type="g5.xlarge")
        found = joined(client.get(address).content)
        assert f"{live.model_version.name}</span>, which serves now" in found
        # 154 s of two machines at $1.006 an hour
        assert "Usually about $0.09: 2 × g5.xlarge at $1.01 an hour (list price" in found
        assert "may have cost $1.00, as far as" in found

    def test_asks_nothing_beside_a_version_that_is_quarantined(
        self, client, alice, address, registered_model
    ):
        live = promoted.live(registered_model, 21).model_version
        client.force_login(alice)
        assert live.name in joined(client.get(address).content)
        type(live).objects.filter(pk=live.pk).update(status="QUARANTINED")
        found = joined(client.get(address).content)
        assert "the run has no baseline" in found

    def test_shows_that_the_version_that_serves_is_asked_alone(
        self, client, alice, address, registered_model
    ):
        live = promoted.live(registered_model, 21).model_version
        client.force_login(alice)
        of_live = reverse("evals:run_create", args=[registered_model.name, live.number])
        shown = {at: joined(client.get(at).content) for at in (of_live, address)}
        assert "This version serves now, so it is asked alone" in shown[of_live]
        assert "which serves now" not in shown[of_live]
        assert f"{live.name}</span>, which serves now" in shown[address]

    def test_starts_what_was_asked_for(self, client, alice, address, suite):
        client.force_login(alice)
        answer = client.post(address, {
            "suite": suite.pk, "packets": "cpu", "concurrency": 2, "cost_limit_usd": "3.50",
            "gpus": 2, "tensor_parallelism": 2,
        })  # fmt: skip
        assert answer.status_code == 302
        run = EvalRun.objects.get(model_version__number=8)
        assert (run.subset, run.concurrency, run.cost_limit_usd) == ("cpu", 2, Decimal("3.50"))
        assert run.serving_settings["gpus"] == 2

    def test_asks_the_subset_alone_where_engines_have_a_cpu(self, client, alice, address, settings):
        settings.ENGINES_ON_CPU = True
        client.force_login(alice)
        client.post(address, {"packets": "whole"})
        assert EvalRun.objects.get(model_version__number=8).subset == "cpu"

    def test_refuses_in_place(self, client, alice, charlie, address):
        client.force_login(alice)
        for wrong in ({"concurrency": 99}, {"cost_limit_usd": "0"}):
            assert client.post(address, wrong).status_code == 422
        client.force_login(charlie)
        assert client.post(address).status_code == 403
        assert "and reviewers start runs." in client.get(address).content.decode()
        assert not EvalRun.objects.filter(model_version__number=8).exists()


class TestCompare:
    ADDRESS = "/evaluations/compare/"

    def test_is_of_one_run_where_both_stood_side_by_side(self, client, charlie, against):
        serves(against)
        for number, score in ((1, RIGHT), (2, RIGHT), (3, WRONG)):
            answer(against, f"packet-00{number}", score)
            answer(against, f"packet-00{number}", RIGHT, side=Side.BASELINE)
        actions.record_eval_run(run=against, cost=None, now=NOW)
        client.force_login(charlie)
        query = {"left": against.model_version_id, "right": against.baseline_id}
        found = joined(client.get(self.ADDRESS, query).content)
        assert f"{against.model_version.name} against {against.baseline.name}" in found
        assert "3 packets that both answered" in found
        assert "in <a" in found and "at the same" in found
        assert "0.800" in found and "−0.200" in found

    def test_says_so_where_they_were_asked_different_packets(self, client, charlie, run, earlier):
        judged(run)
        client.force_login(charlie)
        query = {"left": run.model_version_id, "right": earlier.model_version_id}
        found = joined(client.get(self.ADDRESS, query).content)
        assert "The two were asked different packets of this suite." in found

    def test_says_what_else_than_the_version_differs(self):
        one, other = (
            Measured(EvalRun(engine="vllm 0.11.0", concurrency=at_once), Side.CANDIDATE)
            for at_once in (1, 8)
        )
        assert Compared(one, other, 3, []).runs_differ_in == ["packets at once"]
        assert Compared(one, one, 3, []).runs_differ_in == []

    def test_has_nothing_to_choose_before_there_is_a_result(self, client, charlie, run):
        client.force_login(charlie)
        assert "No evaluation came to a result yet" in joined(client.get(self.ADDRESS).content)

    @pytest.mark.parametrize("query", [{"suite": "x"}, {"left": "x", "right": "-1"}, {"left": 1}])
    def test_takes_nonsense_calmly(self, client, charlie, run, query):
        judged(run)
        client.force_login(charlie)
        assert client.get(self.ADDRESS, query).status_code == 200
