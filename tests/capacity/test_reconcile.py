"""Approved changes against a real Git repository and a cluster whose answers the test sets. Every
run is done twice.
"""

import subprocess
from datetime import timedelta

import pytest
import yaml

from apps.audit.models import AuditEvent
from apps.capacity import actions, records
from apps.capacity.models import CapacityRequest, NodePoolRevision
from apps.capacity.plan import Do, Situation, plan_capacity
from apps.capacity.reconcile import find_pools, reconcile_capacity_request
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.types import ApplicationStatus, Condition, ResourceStatus
from tests.capacity.samples import POOL, text_of
from tests.capacity.test_actions import ask, audited, reject
from tests.commit_times import commits_at
from tests.factories import NOW

pytestmark = pytest.mark.django_db
PATH = "capacity/gpu-inference.yaml"


class Cluster:
    """Applies what Git holds, as Argo CD would: at once, unless told otherwise."""

    def __init__(self, git):
        self.git, self.away, self.applies, self.ready, self.refusal, self.exists = (
            git,
            False,
            True,
            True,
            "",
            True,
        )
        self.old = git.read(PATH)
        self.on_trial = False  # refused at the comparison already
        self.lies = False  # says that it applied what it did not

    def application_status(self, name, namespace):
        assert (name, namespace) == ("capacity", "argocd")
        if self.away:
            raise TemporaryError("The cluster cannot be reached.")
        head = subprocess.run(
            ["git", "rev-parse", "main"],
            cwd=self.git.remote.removeprefix("file://"),
            capture_output=True,
            text=True,
        ).stdout.strip()
        refused = (
            (ResourceStatus("NodePool", "", POOL.name, "OutOfSync", self.refusal),)
            if self.refusal
            else ()
        )
        seen = head if self.applies or self.refusal else "0" * 40
        has_failed = self.refusal and not self.on_trial
        return ApplicationStatus(
            exists=self.exists,
            sync="Synced" if self.applies else "Unknown" if self.on_trial else "OutOfSync",
            revision=seen,
            operation_phase="Failed" if has_failed else "Succeeded",
            operation_revision=seen if has_failed or self.applies else "0" * 40,
            resources=refused,
        )

    def get(self, kind, name, namespace=None):
        text = self.git.read(PATH) if self.applies and not self.lies else self.old
        found = yaml.safe_load(text)
        message = "" if self.ready else "node class not found"
        status = "True" if self.ready else "False"
        found["status"] = {"conditions": [{"type": "Ready", "status": status, "message": message}]}
        return found


def commit_by_hand(remote, text, message="By hand"):
    work = remote.with_suffix(".work")
    subprocess.run(["rm", "-rf", work], check=True)
    subprocess.run(["git", "clone", "--quiet", remote, work], check=True, capture_output=True)
    (work / "capacity").mkdir(exist_ok=True)
    (work / PATH).write_text(text)
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.test"]
    for command in (
        ["add", "-A"],
        ["commit", "--quiet", "-m", message],
        ["push", "--quiet", "origin", "HEAD:main"],
    ):
        subprocess.run(["git", *identity, *command], cwd=work, check=True)


@pytest.fixture
def remote(tmp_path):
    path = tmp_path / "gitops.git"
    subprocess.run(["git", "init", "--bare", "--quiet", "-b", "main", str(path)], check=True)
    commit_by_hand(path, text_of(POOL), "Start")
    return path


@pytest.fixture
def git(remote, tmp_path):
    return GitClient(remote=f"file://{remote}", branch="main", workdir=tmp_path / "mirror")


@pytest.fixture
def cluster(git):
    return Cluster(git)


def turn(request, git, cluster, at):
    """Reconcile once, as a worker does: from a row loaded anew."""
    row = CapacityRequest.objects.select_related("base", "requested_by", "decided_by").get(
        pk=request.pk
    )
    with commits_at(at):
        reconcile_capacity_request(request=row, git=git, cluster=cluster, now=at)


def drive(request, git, cluster, turns=4, at=NOW):
    """Reconcile some times, 20 seconds apart, every run twice; return the time."""
    for _ in range(turns):
        turn(request, git, cluster, at)
        turn(request, git, cluster, at)
        at += timedelta(seconds=20)
    request.refresh_from_db()
    return at


def subjects(remote):
    out = subprocess.run(
        ["git", "log", "--reverse", "--format=%s", "main"],
        cwd=remote,
        capture_output=True,
        text=True,
    )
    return out.stdout.splitlines()


class TestReconcileCapacityRequest:
    def test_commits_exactly_what_was_approved_and_sees_it_applied(
        self, approved, git, cluster, remote
    ):
        drive(approved, git, cluster)
        assert (approved.status, approved.next_check_at, approved.reason) == ("APPLIED", None, "")
        assert "Karpenter says it is ready" in approved.message
        assert git.read(PATH).decode() == approved.text
        assert subjects(remote) == ["Start", "Change the pool gpu-inference"]
        assert audited(approved) == [
            "capacity.applied",
            "capacity.approved",
            "capacity.committed",
            "capacity.requested",
        ]
        body = subprocess.run(
            ["git", "log", "-1", "--format=%B"], cwd=remote, capture_output=True, text=True
        ).stdout
        assert "Asked by pete, approved by rita." in body
        assert f"Quartermaster-Capacity-Request: {approved.pk}" in body

    def test_makes_the_next_revision(self, approved, git, cluster):
        drive(approved, git, cluster)
        newest = NodePoolRevision.objects.current_of(POOL.name)
        assert (newest.number, newest.commit, newest.request) == (2, approved.commit, approved)
        assert find_pools(git=git, now=NOW) == []

    def test_does_nothing_for_a_request_that_nobody_approved(self, asked, git, cluster, remote):
        CapacityRequest.objects.filter(pk=asked.pk).update(next_check_at=NOW)
        drive(asked, git, cluster)
        assert (asked.status, subjects(remote)) == ("PENDING", ["Start"])

    @pytest.mark.parametrize("name", ["record_commit", "record_waiting", "finish_request"])
    def test_finishes_after_a_kill_before_any_write(
        self, approved, git, cluster, remote, monkeypatch, name
    ):
        original, killed = getattr(records, name), []

        def killed_once(**arguments):
            if not killed:
                killed.append(name)
                raise KeyboardInterrupt
            return original(**arguments)

        monkeypatch.setattr(records, name, killed_once)
        cluster.applies = name != "record_waiting"
        at = NOW
        for step in range(12):
            cluster.applies = cluster.applies or step > 4
            try:
                find_pools(git=git, now=at)
                turn(approved, git, cluster, at)
            except KeyboardInterrupt:
                pass
            at += timedelta(minutes=4)  # past the lease of the killed one
        approved.refresh_from_db()
        assert killed == [name]
        assert approved.status == "APPLIED"
        assert subjects(remote) == ["Start", "Change the pool gpu-inference"]
        assert (
            audited(approved).count("capacity.committed")
            == audited(approved).count("capacity.applied")
            == 1
        )
        assert NodePoolRevision.objects.count() == 2

    def test_two_workers_make_one_commit(self, approved, git, cluster, remote, tmp_path):
        other = GitClient(remote=git.remote, branch="main", workdir=tmp_path / "other")
        first = CapacityRequest.objects.select_related("base", "requested_by", "decided_by").get(
            pk=approved.pk
        )
        second = CapacityRequest.objects.select_related("base", "requested_by", "decided_by").get(
            pk=approved.pk
        )
        reconcile_capacity_request(request=first, git=git, cluster=cluster, now=NOW)
        reconcile_capacity_request(request=second, git=other, cluster=cluster, now=NOW)
        assert len(subjects(remote)) == 2

    def test_never_overwrites_a_change_that_was_made_meanwhile(
        self, approved, git, cluster, remote
    ):
        by_hand = text_of(POOL).replace('"64"', '"65"').replace("'64'", "'65'")
        assert by_hand != text_of(POOL)
        commit_by_hand(remote, by_hand)
        drive(approved, git, cluster)
        assert (approved.status, approved.reason) == ("FAILED", "REFUSED")
        assert "was changed on branch main" in approved.message
        assert git.read(PATH).decode() == by_hand
        assert audited(approved).count("capacity.failed") == 1

    def test_waits_while_git_is_away(self, approved, git, cluster, remote):
        remote.rename(remote.with_suffix(".away"))
        turn(approved, git, cluster, NOW)
        approved.refresh_from_db()
        assert (approved.status, approved.reason) == ("APPROVED", "AWAY")
        assert "Git server is away" in approved.message
        remote.with_suffix(".away").rename(remote)
        drive(approved, git, cluster, at=approved.next_check_at)
        assert approved.status == "APPLIED"

    def test_says_what_a_git_that_refuses_said_and_can_be_tried_again(
        self, approved, git, cluster, remote, pete
    ):
        hook = remote / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\necho 'Changes are frozen until Monday.' >&2\nexit 1\n")
        hook.chmod(0o700)
        at = drive(approved, git, cluster)
        assert (approved.status, approved.reason) == ("FAILED", "REFUSED")
        assert "frozen until Monday" in approved.message
        hook.unlink()
        actions.retry_capacity(request=approved, actor=pete, now=at)
        drive(approved, git, cluster, at=at)
        assert approved.status == "APPLIED"

    def test_waits_while_the_cluster_is_away(self, approved, git, cluster):
        cluster.away = True
        at = drive(approved, git, cluster)
        assert (approved.status, approved.reason) == ("COMMITTED", "AWAY")
        cluster.away = False
        drive(approved, git, cluster, at=at + timedelta(minutes=5))
        assert approved.status == "APPLIED"

    @pytest.mark.parametrize("on_trial", [False, True])
    def test_fails_with_what_the_cluster_said_against_it(self, approved, git, cluster, on_trial):
        cluster.applies, cluster.refusal, cluster.on_trial = (
            False,
            "NodePool is invalid: spec.limits.",
            on_trial,
        )
        at = drive(approved, git, cluster, turns=2)
        assert (approved.status, approved.reason) == ("COMMITTED", "REFUSED_BY_CLUSTER")
        drive(approved, git, cluster, at=at)
        assert (approved.status, approved.reason) == ("FAILED", "REFUSED_BY_CLUSTER")
        assert "NodePool is invalid: spec.limits." in approved.message
        assert "old settings back" in approved.message

    @pytest.mark.parametrize("on_trial", [False, True])
    def test_goes_on_where_the_cluster_takes_it_after_a_while(
        self, approved, git, cluster, remote, on_trial
    ):
        cluster.applies, cluster.refusal, cluster.on_trial = (
            False,
            "The webhook does not answer.",
            on_trial,
        )
        at = drive(approved, git, cluster, turns=3)
        asked = ["Have Argo CD try again"] * 2
        assert subjects(remote) == ["Start", "Change the pool gpu-inference", *asked]
        cluster.applies, cluster.refusal = True, ""
        drive(approved, git, cluster, at=at)
        assert approved.status == "APPLIED"

    def test_asks_argo_cd_again_where_it_says_that_it_applied_what_the_cluster_has_not(
        self, approved, git, cluster, remote
    ):
        """What it says of a commit whose comparison failed once."""
        cluster.lies = True
        at = drive(approved, git, cluster, turns=2)
        assert (approved.status, approved.reason) == ("COMMITTED", "APPLIED")
        assert subjects(remote)[-1] == "Have Argo CD try again"
        cluster.lies = False
        drive(approved, git, cluster, at=at)
        assert approved.status == "APPLIED"

    def test_can_be_tried_again_where_the_cluster_takes_it_by_now(
        self, approved, git, cluster, remote, pete
    ):
        cluster.applies, cluster.refusal = False, "The webhook does not answer."
        at = drive(approved, git, cluster, turns=5)
        assert approved.status == "FAILED"
        before = subjects(remote)
        actions.retry_capacity(request=approved, actor=pete, now=at)
        drive(approved, git, cluster, turns=1, at=at)
        assert (approved.status, subjects(remote)) == (
            "COMMITTED",
            [*before, "Have Argo CD try again"],
        )
        cluster.applies, cluster.refusal = True, ""
        drive(approved, git, cluster, at=at + timedelta(seconds=20))
        assert approved.status == "APPLIED"

    def test_says_that_karpenter_does_not_take_it_yet(self, approved, git, cluster):
        cluster.ready = False
        drive(approved, git, cluster)
        assert (approved.status, approved.reason) == ("COMMITTED", "NOT_READY")
        assert "node class not found" in approved.message

    def test_says_that_there_is_no_application(self, approved, git, cluster):
        cluster.applies = cluster.exists = False
        drive(approved, git, cluster, turns=2)
        assert (approved.status, approved.reason) == ("COMMITTED", "NO_APPLICATION")
        assert "deploy/argocd" in approved.message

    def test_fails_when_nothing_moves(self, approved, git, cluster):
        cluster.applies = False
        at = drive(approved, git, cluster)
        assert (approved.status, approved.reason) == ("COMMITTED", "SYNCING")
        turn(approved, git, cluster, at + timedelta(minutes=20))
        approved.refresh_from_db()
        assert (approved.status, approved.reason) == ("FAILED", "SYNCING")
        assert "Nothing has moved for" in approved.message

    def test_fails_when_the_history_was_rewritten(self, approved, git, cluster, remote):
        cluster.applies = False
        at = drive(approved, git, cluster, turns=2)
        subprocess.run(["git", "update-ref", "refs/heads/main", "main~1"], cwd=remote, check=True)
        drive(approved, git, cluster, at=at + timedelta(minutes=1))
        assert (approved.status, approved.reason) == ("FAILED", "REFUSED")
        assert "somebody rewrote its history" in approved.message
        assert "Look at the pool's newest revision" in approved.message

    def test_fails_when_the_pool_was_changed_again(self, approved, git, cluster, remote):
        cluster.applies = False
        at = drive(approved, git, cluster, turns=2)
        commit_by_hand(remote, text_of(POOL).replace("'64'", "'65'"))
        assert [row.number for row in find_pools(git=git, now=at)] == [3]
        drive(approved, git, cluster, at=at)
        assert (approved.status, approved.reason) == ("FAILED", "SUPERSEDED")


class TestFindPools:
    def test_keeps_what_is_in_git_and_leaves_other_files_alone(self, git, remote):
        others = {
            "capacity/README.md": b"# Pools",
            "capacity/Bad_name.yaml": b"a: 1",
            "serving/a.yaml": b"a: 1",
        }
        git.commit(changes=others, message="Others", trailers={"Test": "others"})
        found = find_pools(git=git, now=NOW)
        assert [(row.pool, row.number, row.text) for row in found] == [
            ("gpu-inference", 1, text_of(POOL))
        ]
        assert find_pools(git=git, now=NOW) == []
        assert AuditEvent.objects.filter(action="pool.found").count() == 1

    def test_makes_a_waiting_request_outdated(self, asked, git, remote, rita, pete):
        commit_by_hand(remote, text_of(POOL).replace("'64'", "'65'"))
        find_pools(git=git, now=NOW)
        with pytest.raises(actions.PoolChanged):
            actions.approve_capacity(request=asked, approver=rita, reason="Fits.", now=NOW)
        reject(asked, rita)
        assert ask(pete, base=2).base.number == 2


class TestGitRefuses:
    def test_a_missing_file_counts_as_changed(self, git):
        with pytest.raises(PermanentError, match="was changed"):
            git.commit(changes={"a": b"1"}, message="m", trailers={"T": "1"}, only_over={"a": b"0"})


class TestPlanCapacity:
    def test_tells_what_was_said_against_our_pool_and_not_another(self):
        resources = tuple(
            ResourceStatus("NodePool", "", name, "OutOfSync", f"{name} is wrong.")
            for name in ("a-pool", POOL.name)
        )
        application = ApplicationStatus(exists=True, operation_phase="Failed", resources=resources)
        wanted = yaml.safe_load(text_of(POOL))
        step = plan_capacity(
            Situation("a" * 40, True, True, application, None, wanted, False, timedelta(minutes=1))
        )
        assert (step.do, step.reason) == (Do.FAIL, "REFUSED_BY_CLUSTER")
        assert "gpu-inference is wrong." in step.message
        assert "a-pool" not in step.message

    def test_no_verdict_is_not_ready(self):
        wanted = yaml.safe_load(text_of(POOL))
        situation = Situation(
            "a" * 40, True, True, ApplicationStatus(exists=True), wanted, wanted, False, timedelta()
        )
        step = plan_capacity(situation)
        assert (step.do, step.reason) == (Do.WAIT, "NOT_READY")
        assert "no verdict yet" in step.message

    def test_an_error_of_the_comparison_is_waited_for_in_words(self):
        errors = (Condition("ComparisonError", "True", message="authentication required"),)
        application = ApplicationStatus(exists=True, errors=errors)
        wanted = yaml.safe_load(text_of(POOL))
        step = plan_capacity(
            Situation("a" * 40, False, False, application, None, wanted, False, timedelta())
        )
        assert (step.do, step.reason) == (Do.WAIT, "COMPARISON")
        assert "authentication required" in step.message
