"""What a committed change of a pool does next, fact by fact."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.capacity.plan import Do, Situation, plan_capacity
from apps.integrations.kubernetes.types import ApplicationStatus, Condition, ResourceStatus
from apps.manifests.capacity import node_pool
from tests.capacity.samples import POOL

WANTED = node_pool(replace(POOL, gpus=96))
COMMIT = "c" * 40
REFUSED = ResourceStatus("NodePool", "", POOL.name, "OutOfSync", "limits are odd.")
OTHER = ResourceStatus("NodeClass", "", "a", "OutOfSync", "class is odd")


def pool(manifest=WANTED, ready=None, **words):
    """The NodePool in the cluster, with Karpenter's verdict."""
    verdict = [{"type": "Ready", "status": ready, **words}] if ready else []
    return {**manifest, "status": {"conditions": verdict}}


def application(**more):
    facts = {"exists": True, "sync": "OutOfSync", "revision": COMMIT}
    return ApplicationStatus(**facts | more)


def plan(**facts):
    """Plan for a commit that nobody has applied yet, but for these facts."""
    usual = {
        "commit": COMMIT, "compared": False, "tried": False, "application": application(),
        "found": pool(node_pool(POOL)), "wanted": WANTED, "newer": False,
        "waited": timedelta(seconds=59),
    }  # fmt: skip
    step = plan_capacity(Situation(**usual | facts))
    return step.do, step.reason, step.message


class TestPlanCapacity:
    def test_finishes_where_the_pool_carries_it_and_is_ready(self):
        for facts in ({}, {"newer": True}, {"waited": timedelta(days=1)}):
            assert plan(found=pool(ready="True"), **facts)[:2] == (Do.FINISH, "")

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (pool(), "no verdict yet"),
            (pool(ready="False", message="node class not found"), "node class not found"),
            (pool(ready="Unknown", reason="Awaiting"), "Awaiting"),
        ],
    )
    def test_waits_for_karpenters_verdict_and_says_it(self, found, said):
        do, reason, message = plan(found=found)
        assert (do, reason) == (Do.WAIT, "NOT_READY")
        assert message.endswith(f"does not use it yet: {said}.")

    def test_ends_where_git_went_on_before_the_cluster_took_it(self):
        for found in (None, pool(node_pool(POOL), ready="True")):
            assert plan(newer=True, found=found)[:2] == (Do.FAIL, "SUPERSEDED")

    def test_gives_up_after_20_minutes_without_a_step(self):
        assert plan(waited=timedelta(minutes=20, seconds=-1))[:2] == (Do.WAIT, "SYNCING")
        do, reason, message = plan(waited=timedelta(minutes=21, seconds=59))
        assert (do, reason) == (Do.FAIL, "SYNCING")
        assert message == (
            f"Nothing has moved for 21 minutes. Waiting for Argo CD to apply commit {'c' * 8}."
        )

    def test_waits_for_argo_cd(self):
        assert plan(application=application(exists=False))[:2] == (Do.WAIT, "NO_APPLICATION")
        error = Condition("ComparisonError", "True", "", "x" * 400)
        do, reason, message = plan(application=application(errors=(error,)))
        assert (do, reason, message.count("x") >= 299) == (Do.WAIT, "COMPARISON", True)
        assert "x" * 301 not in message
        synced = application(sync="Synced")
        assert plan(application=synced, compared=True)[:2] == (Do.WAIT, "APPLIED")
        assert plan(application=synced)[:2] == (Do.WAIT, "SYNCING")
        assert plan(compared=True)[:2] == (Do.WAIT, "SYNCING")


class TestARefusal:
    FAILED = application(operation_phase="Failed", revision="other", resources=(OTHER, REFUSED))

    def test_is_asked_about_again_for_a_minute_and_then_final(self):
        facts = {"application": self.FAILED, "tried": True}
        do, reason, message = plan(**facts)
        assert (do, reason) == (Do.WAIT, "REFUSED_BY_CLUSTER")
        assert message.startswith(
            "The cluster refuses it: limits are odd. Argo CD is asked to try again"
        )
        do, reason, message = plan(**facts, waited=timedelta(minutes=1))
        assert (do, reason) == (Do.FAIL, "REFUSED_BY_CLUSTER")
        assert message.startswith("The cluster refuses it: limits are odd. Git now says")

    def test_waits_while_nobody_has_asked_about_it_again(self):
        asked_for = replace(self.FAILED, revision=COMMIT)
        facts = {"tried": True, "waited": timedelta(minutes=5)}
        assert plan(application=asked_for, **facts)[0] == Do.WAIT

    @pytest.mark.parametrize("phase", ["Failed", "Error"])
    def test_of_an_attempt_is_said_in_argo_cds_own_words_where_no_object_has_any(self, phase):
        failed = application(operation_phase=phase, message="webhook is away")
        assert "could not apply it: webhook is away." in plan(application=failed, tried=True)[2]
        assert plan(application=failed)[1] == "SYNCING"

    def test_on_trial_counts_where_our_commit_was_compared(self):
        unknown = application(sync="Unknown", resources=(REFUSED,), operation_phase="Succeeded")
        assert plan(application=unknown, compared=True)[1] == "REFUSED_BY_CLUSTER"
        # what was refused may be an earlier commit: said, and waited for
        assert plan(application=unknown)[:2] == (Do.WAIT, "SYNC_FAILED")
        silent = application(sync="Unknown", message="x")
        assert plan(application=silent, compared=True)[1] == "SYNCING"

    def test_names_another_object_where_ours_was_taken(self):
        others = (ResourceStatus("NodePool", "", "z", "Synced", ""), OTHER)
        failed = application(operation_phase="Failed", resources=others)
        assert "class is odd." in plan(application=failed, tried=True)[2]

    def test_is_cut_where_it_is_long(self):
        long = application(operation_phase="Failed", message="y" * 500)
        said = plan(application=long, tried=True)[2]
        assert "y" * 300 in said and "y" * 400 not in said
