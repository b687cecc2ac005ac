"""What Argo CD is doing about a commit, in words, fact by fact."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.gitops import sync
from apps.integrations.kubernetes.types import ApplicationStatus, Condition, ResourceStatus
from tests.factories import NOW

COMMIT, OTHER = "c" * 40, "d" * 40
GOING = ApplicationStatus(exists=True, sync="OutOfSync", revision=COMMIT)
OURS = ResourceStatus("NodePool", "", "gpu", "OutOfSync", "")
FOREIGN = ResourceStatus("Secret", "models", "s", "OutOfSync", "quota is used up")


def said(application, contained=False):
    found = sync.not_applied(application, "NodePool", "gpu", "", COMMIT, contained=contained)
    return found.code, found.words


def error(kind, message):
    return Condition(kind, "True", message=message)


class TestNotApplied:
    def test_waits_for_a_commit_that_was_not_compared_yet(self):
        for application, contained in (
            (GOING, False),
            (GOING, True),
            (replace(GOING, sync="Synced"), False),
        ):
            assert said(application, contained) == (
                "SYNCING",
                f"Waiting for Argo CD to apply commit {'c' * 8}.",
            )

    def test_says_that_it_should_be_there(self):
        code, words = said(replace(GOING, sync="Synced"), contained=True)
        assert code == "APPLIED"
        assert "in the cluster NodePool gpu is not as committed yet." in words

    @pytest.mark.parametrize(
        ("change", "code", "words"),
        [
            ({"exists": False}, "NO_APPLICATION", "has no Application"),
            (
                {"errors": (error("Other", "x"), error("ComparisonError", "bad yaml"))},
                "COMPARISON",
                "cannot read what Git holds, so nothing new is applied: bad yaml.",
            ),
            (
                {"resources": (FOREIGN, replace(OURS, message="denied"))},
                "SYNC_FAILED",
                "The cluster refused NodePool gpu: denied.",
            ),
            (
                {"resources": (OURS, FOREIGN)},
                "SYNC_BLOCKED",
                f"cannot apply Secret s: quota is used up. Commit {'c' * 8} waits behind it.",
            ),
            ({"errors": (error("SyncError", "no"),)}, "SYNC_FAILED", "cannot apply Git: no."),
            (
                {
                    "operation_phase": "Failed",
                    "operation_revision": COMMIT,
                    "message": "webhook away",
                },
                "SYNC_FAILED",
                "cannot apply Git: webhook away.",
            ),
        ],
    )
    def test_says_what_keeps_argo_cd_from_it(self, change, code, words):
        found = said(replace(GOING, **change), contained=True)
        assert found[0] == code
        assert words in found[1]

    def test_says_nothing_of_an_attempt_at_another_commit(self):
        tried = {"operation_phase": "Failed", "operation_revision": OTHER, "message": "x"}
        assert said(replace(GOING, **tried))[0] == "SYNCING"
        running = {"operation_phase": "Running", "operation_revision": COMMIT, "message": "x"}
        assert said(replace(GOING, **running))[0] == "SYNCING"

    def test_is_asked_about_again_where_only_that_helps(self):
        applied = said(replace(GOING, sync="Synced"), contained=True)[0]
        refused = said(replace(GOING, resources=(replace(OURS, message="denied"),)))[0]
        blocked = said(replace(GOING, resources=(FOREIGN,)))[0]
        assert set(sync.NOT_THERE) == {applied, refused, blocked}


class TestOfHand:
    SETTLED = replace(
        GOING, operation_phase="Succeeded", operation_revision=COMMIT, finished_at=NOW,
        reconciled_at=NOW, resources=(OURS,),
    )  # fmt: skip

    def by_hand(self, **change):
        return sync.of_hand(replace(self.SETTLED, **change), "NodePool", "gpu", "")

    def test_is_a_change_after_all_was_applied_and_compared_again(self):
        found = self.by_hand()
        assert (found.code, found.words[:31]) == ("OUT_OF_SYNC", "Somebody changed NodePool gpu i")
        assert said(self.SETTLED)[0] == "OUT_OF_SYNC"

    @pytest.mark.parametrize(
        "change",
        [
            {"resources": ()},
            {"resources": (replace(OURS, sync="Synced"),)},
            {"resources": (replace(OURS, name="other"),)},
            {"reconciled_at": NOW - timedelta(seconds=1)},
            {"operation_revision": OTHER},
            {"operation_phase": "Running"},
        ],
    )
    def test_is_nothing_else(self, change):
        assert self.by_hand(**change) is None


class TestAskAgain:
    @pytest.mark.parametrize(
        ("change", "asked"),
        [
            ({"sync": "Synced"}, True),
            ({"sync": "OutOfSync"}, False),
            ({"operation_phase": "Failed", "operation_revision": COMMIT}, True),
            ({"sync": "Synced", "operation_phase": "Running"}, False),
        ],
    )
    def test_is_only_where_argo_cd_does_nothing_more(self, change, asked):
        class Git:
            calls = ()

            def ask_again(self, revision, *, since, now):
                self.calls += ((revision, since, now),)

        git, later = Git(), NOW + timedelta(minutes=1)
        sync.ask_again(git, replace(GOING, **change), since=NOW, now=later)
        assert git.calls == (((COMMIT, NOW, later),) if asked else ())


class TestStandstill:
    def test_counts_whole_minutes(self):
        words = sync.standstill(timedelta(minutes=21, seconds=59), "Waiting for Argo CD.")
        assert words == "Nothing has moved for 21 minutes. Waiting for Argo CD."
