"""Grants become policy: in Git once per change, and observed."""

import subprocess
from datetime import timedelta

import pytest
import yaml
from django.urls import reverse

from apps.access import actions as access
from apps.audit.models import AuditEvent
from apps.gateway import actions, reconcile
from apps.gateway.models import PolicyRevision
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.types import ApplicationStatus, ResourceStatus
from apps.manifests.policy import DIGEST_ANNOTATION
from tests.access.test_actions import WISH
from tests.commit_times import commits_at
from tests.factories import NOW, RegisteredModelFactory
from tests.promotions import factories

POLICY = "serving/models/prior-auth-extract/policy.yaml"


class Cluster:
    """A cluster that Argo CD applied the branch to, or nothing."""

    def __init__(self, git, applied=True):
        self.git, self.applied, self.application = git, applied, ApplicationStatus(exists=True)

    def application_status(self, name, namespace):
        assert (name, namespace) == ("serving", "argocd")
        return self.application

    def get(self, kind, name, namespace=None):
        text = self.git.read(POLICY) if self.applied else None
        return next(iter(yaml.safe_load_all(text)), None) if text else None


class Away:
    """A Git remote that does not answer, or refuses."""

    def __init__(self, error):
        self.error = error

    def commit(self, **_):
        raise self.error


@pytest.fixture(autouse=True)
def nothing_compiled_yet():
    """Forget what an earlier test had this process compile."""
    reconcile._compiled_digest.cache_clear()


@pytest.fixture
def git(tmp_path):
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", remote], check=True)
    return GitClient(remote=f"file://{remote}", branch="main", workdir=tmp_path / "work")


@pytest.fixture
def grant(registered_model, charlie, alice):
    asked = access.submit_request(model=registered_model, wish=WISH, requester=charlie, now=NOW)
    return access.approve_request(request=asked, approver=alice, reason="Fits.", now=NOW)


def run(git, cluster, at):
    """Do what the sweep and the task do."""
    reconcile.find_outdated(now=at)
    for revision in PolicyRevision.objects.filter(next_check_at__lte=at).select_related(
        "registered_model"
    ):
        with commits_at(at):
            reconcile.reconcile_policy(revision=revision, git=git, cluster=cluster, now=at)
    return PolicyRevision.objects.get()


def teams_let_in(git):
    policy = next(iter(yaml.safe_load_all(git.read(POLICY))))
    rules = policy["spec"]["authorization"].get("rules", [])
    return [value for rule in rules for value in rule["principal"]["jwt"]["claims"][0]["values"]]


def published():
    return AuditEvent.objects.filter(action="policy.published").count()


class TestReconcilePolicy:
    def test_publishes_a_grant_and_sees_it_applied(self, git, grant):
        revision = run(git, Cluster(git), NOW)
        assert (revision.status, teams_let_in(git)) == ("ACTIVE", ["claims-review"])

    def test_changes_nothing_the_second_time(self, git, grant):
        first = run(git, Cluster(git), NOW)
        again = run(git, Cluster(git), NOW + timedelta(minutes=1))
        assert (again.commit, again.generation, published()) == (first.commit, first.generation, 1)

    def test_lets_nobody_in_when_the_grant_expires(self, git, grant):
        run(git, Cluster(git), NOW)
        revision = run(git, Cluster(git), grant.active_to)
        assert (revision.status, teams_let_in(git), published()) == ("ACTIVE", [], 2)

    def test_makes_one_commit_when_it_dies_after_the_push(self, git, grant, monkeypatch):
        def dies(**_):
            raise SystemExit

        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(actions, "record_commit", dies)
            run(git, Cluster(git), NOW)
        revision = run(git, Cluster(git), NOW + timedelta(minutes=10))
        assert (revision.status, published()) == ("ACTIVE", 1)
        log = subprocess.run(
            ["git", "-C", git.remote.removeprefix("file://"), "log", "--oneline"],
            capture_output=True,
        )
        assert len(log.stdout.splitlines()) == 1

    def test_waits_while_the_cluster_does_not_carry_it(self, git, grant):
        revision = run(git, Cluster(git, applied=False), NOW)
        assert (revision.status, revision.next_check_at) == (
            "COMMITTED",
            NOW + timedelta(seconds=2),
        )

    def test_says_what_keeps_argo_cd_from_it_and_has_it_try_again(
        self, git, grant, client, charlie
    ):
        cluster = Cluster(git, applied=False)
        head = run(git, cluster, NOW).commit
        refused = ResourceStatus(
            "SecurityPolicy", "models", "prior-auth-extract", "OutOfSync", "webhook is away"
        )
        cluster.application = ApplicationStatus(
            exists=True, sync="OutOfSync", revision=head, operation_phase="Failed",
            operation_revision=head,
            resources=(refused,),
        )  # fmt: skip
        assert run(git, cluster, NOW + timedelta(seconds=10)).message == "", (
            "it takes no longer than it should"
        )
        for seconds in (20, 24):
            revision = run(git, cluster, NOW + timedelta(seconds=seconds))
        assert (revision.status, revision.reason) == ("COMMITTED", "SYNC_FAILED")
        client.force_login(charlie)
        page = client.get(
            reverse("gateway:policy_detail", args=["prior-auth-extract"])
        ).content.decode()
        assert "The cluster refused SecurityPolicy prior-auth-extract: webhook is away." in page
        log = ["git", "-C", git.remote.removeprefix("file://"), "log", "--format=%s"]
        subjects = subprocess.run(log, capture_output=True, text=True).stdout.splitlines()
        assert subjects == [
            "Have Argo CD try again",
            "Publish the access policy of prior-auth-extract",
        ]
        cluster.applied = True
        revision = run(git, cluster, revision.next_check_at)
        assert (revision.status, revision.message, published()) == ("ACTIVE", "", 1)

    def test_publishes_anew_what_the_branch_no_longer_holds(self, git, grant):
        cluster = Cluster(git, applied=False)
        first = run(git, cluster, NOW)
        git.commit(
            changes={POLICY: None}, message="Take it out by hand", trailers={"Who": "somebody"}
        )
        late = NOW + timedelta(seconds=30)
        lost = run(git, cluster, late)
        assert (lost.status, lost.reason) == ("PENDING", "GIT_DIVERGED")
        assert f"no longer holds what commit {first.commit[:8]} brought" in lost.message
        cluster.applied = True
        again = run(git, cluster, late)
        assert (again.status, teams_let_in(git), published()) == ("ACTIVE", ["claims-review"], 2)
        assert again.commit != first.commit

    def test_that_git_refuses_to_show_is_looked_at_again(self, git, grant, monkeypatch):
        cluster = Cluster(git, applied=False)
        run(git, cluster, NOW)

        def refuse(path):
            raise PermanentError("The Git server refused: the token has expired.")

        late = NOW + timedelta(seconds=30)
        with monkeypatch.context() as patch:
            patch.setattr(git, "read", refuse)
            assert run(git, Cluster(git, applied=False), late).status == "FAILED"
        cluster.applied = True
        assert reconcile.find_outdated(now=late + timedelta(minutes=4)) == []
        assert run(git, cluster, late + timedelta(minutes=6)).status == "ACTIVE"
        assert published() == 1

    def test_tries_again_while_git_is_away(self, git, grant):
        revision = run(Away(TemporaryError("The remote is away.")), Cluster(git), NOW)
        assert (revision.status, revision.message) == ("PENDING", "The remote is away.")
        assert run(git, Cluster(git), revision.next_check_at).status == "ACTIVE"

    def test_stops_and_says_why_when_git_refuses(self, git, grant):
        revision = run(Away(PermanentError("The hook refused.")), Cluster(git), NOW)
        assert (revision.status, revision.next_check_at) == ("FAILED", None)
        soon = run(
            Away(PermanentError("The hook refused.")), Cluster(git), NOW + timedelta(seconds=10)
        )
        assert soon.generation == revision.generation

    def test_keeps_a_change_that_was_made_meanwhile(self, git, grant, registered_model):
        run(git, Cluster(git), NOW)
        stale = PolicyRevision.objects.get()
        actions.request_publication(model=registered_model, now=NOW)
        actions.record_active(revision=stale, now=NOW)
        assert PolicyRevision.objects.get().next_check_at == NOW


class TestTheSentencesOfRefusals:
    def test_are_in_the_policy_of_a_model_that_nobody_was_granted(self, git, registered_model):
        """The oldest route's policy speaks for all of them, and may be that of a model without
        grants.
        """
        factories.live(registered_model, 1)
        run(git, Cluster(git), NOW)
        _, traffic = yaml.safe_load_all(git.read(POLICY))
        said = {
            each["match"]["statusCodes"][0]["value"] for each in traffic["spec"]["responseOverride"]
        }
        assert said == {503, 429, 403}
        assert "rateLimit" not in traffic["spec"]


class TestLimitCost:
    def test_is_what_the_limits_count_and_what_the_page_says(
        self, git, grant, settings, client, alice
    ):
        page = reverse("gateway:policy_detail", args=["prior-auth-extract"])
        client.force_login(alice)
        assert "is counted against the tokens per minute" not in client.get(page).content.decode()
        run(git, Cluster(git), NOW)
        settings.LIMIT_COST = "output_tokens * 2u"
        run(git, Cluster(git), NOW + timedelta(minutes=1))
        _, traffic = yaml.safe_load_all(git.read(POLICY))
        (rule,) = traffic["spec"]["rateLimit"]["global"]["rules"]
        assert rule["cost"]["response"]["metadata"]["key"] == "llm_limit_token"
        assert published() == 2
        assert (
            "output_tokens * 2u</code> is counted against the tokens per minute"
            in client.get(page).content.decode()
        )


class TestTooManyTeams:
    def test_are_said_and_stop_no_other_model(self, git, grant, monkeypatch):
        monkeypatch.setattr("apps.manifests.gateway.MAX_TEAMS", 0)
        revision = run(git, Cluster(git), NOW)
        assert (revision.status, revision.reason) == ("FAILED", "REFUSED")
        assert "1 teams are granted prior-auth-extract" in revision.message
        assert reconcile.find_outdated(now=NOW + timedelta(minutes=6)) == []
        monkeypatch.undo()
        assert run(git, Cluster(git), NOW + timedelta(minutes=7)).status == "ACTIVE"


class TestCompilePolicy:
    def test_writes_its_digest_on_every_object(self, git, grant):
        revision = run(git, Cluster(git), NOW)
        for item in yaml.safe_load_all(git.read(POLICY)):
            assert item["metadata"]["annotations"][DIGEST_ANNOTATION] == revision.digest


class TestFindOutdated:
    @pytest.fixture
    def compiled(self, monkeypatch):
        """The names of the models whose policies are compiled from now on."""
        names, compile_ = [], reconcile.render.policy

        def counted(model, limits, around):
            names.append(model)
            return compile_(model, limits, around)

        monkeypatch.setattr(reconcile.render, "policy", counted)
        return names

    def test_compiles_only_what_changed_since_it_looked_last(
        self, compiled, grant, alice, settings
    ):
        others = [RegisteredModelFactory() for _ in range(3)]
        for model in others:
            factories.live(model, 1)
        known = sorted([grant.registered_model.name, *(model.name for model in others)])
        assert len(reconcile.find_outdated(now=NOW)) == 4
        assert sorted(compiled) == known
        PolicyRevision.objects.update(next_check_at=None)
        compiled.clear()
        assert len(reconcile.find_outdated(now=NOW)) == 4
        assert compiled == []
        access.revoke_grant(grant=grant, actor=alice, reason="Over.", now=NOW)
        PolicyRevision.objects.update(next_check_at=None)
        reconcile.find_outdated(now=NOW)
        assert compiled == [grant.registered_model.name]
        compiled.clear()
        settings.LIMIT_COST = "output_tokens"
        PolicyRevision.objects.update(next_check_at=None)
        reconcile.find_outdated(now=NOW)
        assert sorted(compiled) == known
