"""An evaluation run from start to the candidate's end; every pass twice, killed in every gap."""

import subprocess
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from apps.audit.models import Action, AuditEvent
from apps.catalog import actions as catalog
from apps.evals import actions, reconcile
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_suite
from apps.integrations.errors import TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    ContainerStatus,
    EventNote,
    Loaded,
    NodeClaimStatus,
    PodStatus,
    ServingStatus,
)
from apps.manifests import engine_args
from tests.commit_times import commits_at
from tests.evals.engine_double import EngineDouble
from tests.factories import NOW, ModelVersionFactory
from tests.trail import trail

pytestmark = pytest.mark.django_db
Status = EvalRun.Status
READY = ServingStatus(
    exists=True, ready=True, node_claim=NodeClaimStatus("n", instance_type="g6.xlarge")
)
GONE = ServingStatus(exists=False)


class Killed(BaseException):
    """kill -9, as near as a test comes."""


class Cluster:
    """What the cluster says next; asked names are kept."""

    def __init__(self, status: ServingStatus) -> None:
        self.status, self.asked, self.application = status, set(), ApplicationStatus(exists=True)
        self.pods = ()  # of a candidate that is ready

    def serving_status(self, name, namespace):
        self.asked.add((name, namespace))
        return replace(self.status, pods=self.pods) if self.status is READY else self.status

    def application_status(self, name, namespace):
        return self.application


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "gitops.git"
    subprocess.run(
        ["git", "init", "--bare", "--quiet", "--initial-branch=main", str(path)], check=True
    )
    return path


class World:
    """Everything around one run, and a clock that passes."""

    def __init__(self, run, repository, tmp_path):
        self.run, self.repository, self.now = run, repository, NOW
        self.git = GitClient(remote=str(repository), branch="main", workdir=tmp_path / "work")
        self.cluster, self.engine = Cluster(READY), EngineDouble()
        self.cluster.pods = (PodStatus("p", loaded=Loaded(run.model_version.manifest_digest)),)

    def around(self, **changes):
        facts = {
            "git": self.git, "cluster": lambda: self.cluster, "engine": self.engine.client,
            "bucket": "registry",
            "image": "vllm", "role_arn": "", "s3_endpoint": "", "application": "serving",
            "argocd_namespace": "argocd", "start_seconds": 1800,
        }  # fmt: skip
        return reconcile.Surroundings(**(facts | changes))

    def step(self, times: int = 1, clock=lambda: 0.0, **changes) -> EvalRun:
        for _ in range(times):
            self.now += timedelta(minutes=4)
            with commits_at(self.now):
                reconcile.reconcile_eval_run(
                    run=self.run, around=self.around(**changes), now=self.now, clock=clock
                )
            self.run = EvalRun.objects.get(pk=self.run.pk)
        return self.run

    def commits(self) -> list[str]:
        out = subprocess.run(
            ["git", "-C", str(self.repository), "log", "--format=%s", "main"],
            check=False,
            capture_output=True,
        )
        return out.stdout.decode().splitlines()


@pytest.fixture
def world(alice, registered_model, repository, tmp_path):
    version = ModelVersionFactory(registered_model=registered_model, number=1)
    suite = ensure_suite(suite=shipped.load(), now=NOW, judges=[EvalSuite.ANY])
    run = actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
    return World(run, repository, tmp_path)


def audited(run) -> list[str]:
    return sorted(event.action for event in AuditEvent.objects.about("EvalRun", str(run.pk)))


class TestWhatIsScored:
    """The candidate's loader must have read the very version."""

    @pytest.mark.parametrize(
        ("loaded", "code"),
        [(None, "NOT_MEASURED"), (Loaded("sha256:" + "f" * 64), "OTHER_WEIGHTS")],
    )
    def test_is_never_something_else(self, world, loaded, code):
        world.cluster.pods = (*world.cluster.pods, PodStatus("q", loaded=loaded))
        run = world.step(2)
        assert (run.status, run.reason) == (Status.ERROR, code)
        assert not run.packet_results.exists()

    def test_asks_nothing_of_a_pod_that_goes_away(self, world):
        world.cluster.pods = (*world.cluster.pods, PodStatus("q", deleting=True))
        assert world.step(2).status == Status.RUNNING


class TestReconcileEvalRun:
    def test_serves_asks_scores_and_takes_away(self, world):
        assert world.step().status == Status.STARTING
        assert world.step().status == Status.RUNNING
        run = world.step()
        assert run.status == Status.PASSED
        assert 0.8 < run.metrics["f1"] < 1  # the stand-in makes slips
        assert (run.engine, run.instance_type, run.packets_done) == (
            "stand-in",
            "g6.xlarge",
            len(shipped.load().packets),
        )
        world.step()
        world.cluster.status = GONE
        run = world.step()
        assert run.removed_at == world.now
        assert run.next_check_at is None
        assert len(world.commits()) == 2
        assert audited(run) == sorted([
            Action.EVAL_STARTED, Action.EVAL_COMMITTED, Action.EVAL_SERVING, Action.EVAL_RECORDED,
            Action.EVAL_REMOVED,
        ])  # fmt: skip

    def test_changes_nothing_after_its_end(self, world):
        world.step(4)
        world.cluster.status = GONE
        world.step()
        before = EvalRun.objects.values().get(pk=world.run.pk)
        world.step()
        assert EvalRun.objects.values().get(pk=world.run.pk) == before
        assert len(world.commits()) == 2

    def test_serves_in_evals_only(self, world):
        run = world.step()
        content = world.git.read(f"serving/evals/{run.inference_service}.yaml")
        (service,) = yaml.safe_load_all(content)
        assert service["metadata"]["namespace"] == "evals"
        assert (
            service["spec"]["predictor"]["model"]["storageUri"]
            == "s3://registry/prior-auth-extract/v1/"
        )
        runtime = list(yaml.safe_load_all(world.git.read("serving/evals/runtime.yaml")))
        assert {item["metadata"]["namespace"] for item in runtime} == {"evals"}
        world.step(3)
        assert {namespace for _, namespace in world.cluster.asked} == {"evals"}
        assert all(".evals.svc." in address for address in world.engine.addresses)
        assert world.git.paths("serving/models") == []

    def test_refuses_a_version_that_drops_codes(self, world):
        world.engine.max_characters = len('{"diagnosis_codes": ["')
        run = world.step(3)
        assert run.status == Status.FAILED
        assert run.metrics["f1"] == 0

    def test_commits_no_argument_that_the_engine_would_refuse(self, world, monkeypatch):
        monkeypatch.setattr(
            engine_args, "check_arguments", lambda *_: ["there is no option --max-model-len."]
        )
        run = world.step(2)
        assert (run.status, run.reason) == ("ERROR", "REFUSED")
        assert "would refuse its arguments" in run.message
        assert world.commits() == []

    def test_goes_on_where_it_was_after_a_slow_pass(self, world):
        world.step(2)
        ticks = iter(range(0, 10_000, 10))
        run = world.step(clock=lambda: float(next(ticks)))
        assert run.status == Status.RUNNING
        assert 0 < run.packets_done < len(shipped.load().packets)
        run = world.step(20, clock=lambda: float(next(ticks)))
        assert run.status == Status.PASSED
        assert world.engine.calls == len(shipped.load().packets)

    def test_goes_on_after_the_engine_was_away(self, world):
        world.step(2)
        world.engine.dies_at = 5
        run = world.step()
        assert (run.status, run.reason, run.packets_done) == (Status.RUNNING, "WAITING", 4)
        assert "cannot be reached" in run.message
        assert world.step().status == Status.PASSED

    @pytest.mark.parametrize(
        "action", ["record_deployed", "record_serving", "record_packet", "record_eval_run"]
    )
    def test_goes_on_after_a_kill_before_the_row(self, world, action, monkeypatch):
        def killed(**_):
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(actions, action, killed)
            with suppress(Killed):
                world.step(3)
        run = world.step(4)
        assert run.status == Status.PASSED
        assert world.commits().count(world.commits()[-1]) == 1
        assert audited(run).count(Action.EVAL_COMMITTED) == 1

    def test_is_kept_waiting_while_git_or_cluster_is_away(self, world):
        def away():
            raise TemporaryError("The cluster is not there yet.")

        world.step()
        run = world.step(cluster=away)
        assert (run.status, run.message) == (
            Status.STARTING,
            "The cluster is not there yet. Trying again by itself.",
        )
        assert world.step().status == Status.RUNNING


class TestWaiting:
    @pytest.mark.parametrize(
        ("status", "reason", "words"),
        [
            (GONE, "SYNCING", "Argo CD"),
            (ServingStatus(exists=True), "STARTING", "pod"),
            (
                ServingStatus(
                    exists=True,
                    transition="InvalidSpec",
                    reason="RuntimeNotRecognized",
                    message="waiting",
                ),
                "NO_RUNTIME",
                "runtime",
            ),
            (ServingStatus(exists=True, pods=(PodStatus("p"),)), "SCHEDULING", "free GPU"),
            (
                ServingStatus(
                    exists=True,
                    pods=(PodStatus("p"),),
                    events=(EventNote("Warning", "FailedScheduling", "no capacity in us-east-1a"),),
                ),
                "NO_CAPACITY",
                "no capacity",
            ),
            (ServingStatus(exists=True, pods=(PodStatus("p", node="n"),)), "WEIGHTS", "checking"),
            (
                ServingStatus(
                    exists=True,
                    pods=(
                        PodStatus(
                            "p",
                            node="n",
                            initializer=ContainerStatus(state="terminated", exit_code=0),
                            engine_container=ContainerStatus(state="running"),
                        ),
                    ),
                ),
                "ENGINE",
                "loading the weights",
            ),
            (
                ServingStatus(
                    exists=True,
                    pods=(
                        PodStatus(
                            "p",
                            node="n",
                            initializer=ContainerStatus(exit_code=1, message="no route to host"),
                        ),
                    ),
                ),
                "LOAD_FAILED",
                "no route to host",
            ),
        ],
    )
    def test_says_what_it_waits_for(self, world, status, reason, words):
        world.step()
        world.cluster.status = status
        run = world.step()
        assert (run.status, run.reason) == (Status.STARTING, reason)
        assert words in run.message

    def test_has_argo_cd_try_again_what_it_gave_up_and_says_why(self, world):
        world.step()
        head, world.cluster.status = world.run.deploy_commit, GONE
        world.cluster.application = ApplicationStatus(
            exists=True, revision=head, operation_phase="Failed", operation_revision=head,
            message="the webhook of KServe does not answer",
        )  # fmt: skip
        run = world.step(2)
        assert (run.status, run.reason) == (Status.STARTING, "SYNC_FAILED")
        assert "Argo CD cannot apply Git: the webhook of KServe" in run.message
        assert world.commits()[:-1] == ["Have Argo CD try again"]
        world.cluster.status = READY
        assert world.step().status == Status.RUNNING

    def test_has_argo_cd_take_the_candidate_away_where_it_gave_that_up(self, world):
        world.step(4)
        removed = world.git.find(
            {"Quartermaster-EvalRun": str(world.run.pk), "Quartermaster-Step": "RETIRE"}
        )
        world.cluster.application = ApplicationStatus(
            exists=True, sync="OutOfSync", revision=removed.sha, operation_phase="Failed",
            operation_revision=removed.sha,
        )  # fmt: skip
        world.step()
        assert world.commits()[0] == "Have Argo CD try again"
        world.cluster.status = GONE
        assert world.step().removed_at == world.now


class TestAQuarantinedVersion:
    @pytest.fixture
    def other(self, world, alice, registered_model, repository, tmp_path):
        """The run of another version, with surroundings of its own."""
        version = ModelVersionFactory(registered_model=registered_model, number=2)
        suite = world.run.suite
        run = actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
        return World(run, repository, tmp_path)

    @pytest.mark.parametrize(
        ("passes", "status"),
        [(0, Status.PENDING), (1, Status.STARTING), (2, Status.RUNNING)],
    )
    def test_ends_its_open_run_and_takes_the_candidate_away(self, world, other, passes, status):
        assert world.step(passes).status == status
        found = {"reason": "REPLACED", "message": "model.safetensors: expected sha256 aa."}
        catalog.quarantine_version(version=world.run.model_version, **found, now=world.now)
        words = f"{world.run.model_version.name} has been quarantined."
        run = world.step()
        assert (run.status, run.reason, run.message) == (Status.ERROR, "QUARANTINED", words)
        assert trail(run)[-1] == (
            Action.EVAL_FAILED,
            "system:evals.reconcile_eval_run",
            {"reason": "QUARANTINED", "message": words},
        )
        world.cluster.status = GONE
        run = world.step(2)
        assert (run.removed_at is not None, run.next_check_at) == (True, None)
        assert (run.status, run.message, run.packets_done) == (Status.ERROR, words, 0)
        removed = f"Remove {run.inference_service} after its evaluation"
        assert world.commits().count(removed) == (1 if passes else 0)
        assert other.step(3).status == Status.PASSED
        assert Action.EVAL_FAILED not in audited(other.run)


class TestErrors:
    def test_gives_up_when_the_candidate_never_gets_ready(self, world):
        world.step()
        world.cluster.status = ServingStatus(exists=True)
        assert world.step(10).status == Status.STARTING
        run = world.step()
        assert (run.status, run.reason) == (Status.ERROR, "NOT_READY")
        assert "45 minutes" in run.message
        world.cluster.status = GONE
        run = world.step(2)
        assert run.removed_at is not None
        assert len(world.commits()) == 2

    def test_waits_for_as_long_as_the_kubelet_lets_an_engine_load(self, world):
        slow = {"start_seconds": 3600}
        world.step(**slow)
        (runtime,) = (
            item
            for item in yaml.safe_load_all(world.git.read("serving/evals/runtime.yaml"))
            if item["kind"] == "ServingRuntime"
        )
        probe = runtime["spec"]["containers"][0]["startupProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] == 3600
        world.cluster.status = ServingStatus(exists=True)
        assert world.step(17, **slow).status == Status.STARTING
        assert "75 minutes" in world.step(**slow).message

    def test_ends_at_once_where_the_bytes_are_not_the_published_ones(self, world):
        world.step()
        failing = ContainerStatus(
            restarts=1, last_message="model.safetensors: digest differs", last_exit_code=1
        )
        world.cluster.status = ServingStatus(
            exists=True, pods=(PodStatus("p", node="n", initializer=failing),)
        )
        run = world.step()
        assert (run.status, run.reason) == (Status.ERROR, "CHECKSUM")
        assert "digest differs" in run.message

    def test_gives_up_when_the_engine_ends_again_and_again(self, world):
        world.step()
        loaded = ContainerStatus(state="terminated", exit_code=0)
        for restarts, status in ((4, Status.STARTING), (5, Status.ERROR)):
            failing = ContainerStatus(
                restarts=restarts, last_message="CUDA error", last_exit_code=1
            )
            pod = PodStatus("p", node="n", initializer=loaded, engine_container=failing)
            world.cluster.status = ServingStatus(exists=True, pods=(pod,))
            assert world.step().status == status
        run = world.run
        run.refresh_from_db()
        assert run.reason == "CRASH_LOOP"
        assert "CUDA error" in run.message

    def test_ends_when_the_engine_refuses_a_packet(self, world):
        world.engine.refuses = True
        run = world.step(3)
        assert (run.status, run.reason) == (Status.ERROR, "ENGINE_REFUSED")

    def test_a_run_that_never_was_committed_has_nothing_to_remove(self, world):
        actions.fail_eval_run(run=world.run, reason="R", message="m", now=NOW)
        run = world.step()
        assert run.removed_at is not None
        assert world.commits() == []
