"""An evaluation run from start to the candidate's end; every pass twice, killed in every gap."""

import subprocess
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import yaml

from apps.audit.models import Action, AuditEvent
from apps.catalog import actions as catalog
from apps.common.canonical import digest_of_bytes
from apps.evals import actions, reconcile
from apps.evals.actions import Wanted
from apps.evals.models import EvalRun, EvalSuite, Side
from apps.evals.runs.surroundings import Surroundings
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_suite
from apps.evals.suites.queries import packets_of
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
from apps.integrations.s3.client import AlreadyExists
from apps.manifests import engine_args
from apps.manifests.serving_settings import ServingSettings
from tests.commit_times import commits_at
from tests.database import unguarded
from tests.evals.engine_double import AWAY, ENDLESS, FAILS, PAGE, EngineDouble
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
    """What the cluster says next, of everything or of services by name; asked names are kept."""

    def __init__(self, status: ServingStatus) -> None:
        self.status, self.asked, self.application = status, set(), ApplicationStatus(exists=True)
        self.of: dict[str, ServingStatus] = {}  # the beginning of a name → what is said of it
        self.pods = {}  # the beginning of a name → the pods of what is ready

    def serving_status(self, name, namespace):
        self.asked.add((name, namespace))
        found = next((each for key, each in self.of.items() if name.startswith(key)), self.status)
        pods = next((each for key, each in self.pods.items() if name.startswith(key)), ())
        return replace(found, pods=pods) if found is READY else found

    def application_status(self, name, namespace):
        return self.application


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "gitops.git"
    subprocess.run(
        ["git", "init", "--bare", "--quiet", "--initial-branch=main", str(path)], check=True
    )
    return path


class Registry:
    """A bucket that keeps what is written once."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.locked: dict[str, object] = {}

    def put_new(self, key, body, *, locked_until):
        if key in self.kept:
            raise AlreadyExists(f"{key} exists already.")
        self.kept[key], self.locked[key] = bytes(body), locked_until

    def read_small(self, key, *, limit):
        return self.kept[key]


class World:
    """Everything around one run, and a clock that passes."""

    def __init__(self, run, repository, tmp_path):
        self.run, self.repository, self.now = run, repository, NOW
        self.git = GitClient(remote=str(repository), branch="main", workdir=tmp_path / "work")
        self.cluster, self.engine, self.registry = Cluster(READY), EngineDouble(), Registry()
        self.engines = {}  # the beginning of a service's name → an engine of its own
        self.price = lambda _: Decimal("1.006")
        for side in run.sides:
            version = run.version_of(side)
            pod = PodStatus("p", loaded=Loaded(version.manifest_digest))
            self.cluster.pods[version.name] = (pod,)

    def engine_at(self, address):
        found = (each for key, each in self.engines.items() if address.startswith(f"http://{key}"))
        return next(found, self.engine).client(address)

    @property
    def packets(self):
        return packets_of(self.run.suite, self.run.subset)

    def around(self, **changes):
        facts = {
            "git": self.git, "cluster": lambda: self.cluster, "engine": self.engine_at,
            "registry": lambda: self.registry, "price": lambda kind: self.price(kind),
            "bucket": "registry",
            "image": "vllm", "role_arn": "", "s3_endpoint": "", "application": "serving",
            "argocd_namespace": "argocd", "start_seconds": 1800, "retention_days": 30,
        }  # fmt: skip
        return Surroundings(**(facts | changes))

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
def suite(db):
    return ensure_suite(suite=shipped.load(), now=NOW, judges=[EvalSuite.ANY])


@pytest.fixture
def world(alice, registered_model, suite, repository, tmp_path):
    """A run without a baseline: nothing serves the model."""
    version = ModelVersionFactory(registered_model=registered_model, number=1)
    run = actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW)
    return World(run, repository, tmp_path)


@pytest.fixture
def pair(alice, registered_model, suite, repository, tmp_path):
    """A run side by side: v3 against v2, which serves."""
    version, live = (
        ModelVersionFactory(registered_model=registered_model, number=number) for number in (3, 2)
    )
    wanted = Wanted(baseline=live, concurrency=2, cost_limit_usd=Decimal(5))
    run = actions.start_eval_run(version=version, suite=suite, actor=alice, now=NOW, wanted=wanted)
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
        ((name, pods),) = world.cluster.pods.items()
        world.cluster.pods[name] = (*pods, PodStatus("q", loaded=loaded))
        run = world.step(2)
        assert (run.status, run.reason) == (Status.ERROR, code)
        assert not run.packet_results.exists()

    def test_waits_while_no_pod_is_seen(self, world):
        pods = dict(world.cluster.pods)
        world.cluster.pods.clear()
        run = world.step(2)
        assert (run.status, run.reason) == (Status.STARTING, "WAITING")
        assert "none of its pods is seen" in run.message
        world.cluster.pods.update(pods)
        assert world.step().status == Status.RUNNING

    def test_asks_nothing_of_a_pod_that_goes_away(self, world):
        ((name, pods),) = world.cluster.pods.items()
        world.cluster.pods[name] = (*pods, PodStatus("q", deleting=True))
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
            len(world.packets),
        )
        world.step()
        world.cluster.status = GONE
        run = world.step()
        assert run.removed_at == world.now
        assert run.next_check_at is None
        assert len(world.commits()) == 2
        assert audited(run) == sorted([
            Action.EVAL_STARTED, Action.EVAL_COMMITTED, Action.EVAL_SERVING, Action.EVAL_RECORDED,
            Action.EVAL_STORED, Action.EVAL_REMOVED,
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
        runtime, service = yaml.safe_load_all(content)
        assert service["metadata"]["namespace"] == "evals"
        assert (
            service["spec"]["predictor"]["model"]["storageUri"]
            == "s3://registry/prior-auth-extract/v1/"
        )
        assert runtime["metadata"]["name"] == service["spec"]["predictor"]["model"]["runtime"]
        assert runtime["metadata"]["namespace"] == "evals"
        world.step(3)
        assert {namespace for _, namespace in world.cluster.asked} == {"evals"}
        assert all(".evals.svc." in address for address in world.engine.addresses)
        (accounts,) = world.git.paths("serving/models")
        assert accounts == "serving/models/prior-auth-extract/account.yaml"
        assert service["spec"]["predictor"]["serviceAccountName"] in {
            account["metadata"]["name"]
            for account in yaml.safe_load_all(world.git.read(accounts))
            if account["metadata"]["namespace"] == "evals"
        }

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
        assert 0 < run.packets_done < len(world.packets)
        run = world.step(20, clock=lambda: float(next(ticks)))
        assert run.status == Status.PASSED
        assert world.engine.calls == len(world.packets)

    def test_goes_on_after_the_engine_was_away(self, world):
        world.step(2)
        world.engine.dies_at = 5
        run = world.step()
        assert (run.status, run.reason) == (Status.RUNNING, "WAITING")
        assert 1 <= run.packets_done <= 4
        assert "cannot be reached" in run.message
        run = world.step()
        assert "The candidate's engine does not answer." in run.message
        world.engine.is_away = False
        assert world.step().status == Status.PASSED
        assert world.engine.calls == len(world.packets) + 1

    @pytest.mark.parametrize(
        "action", ["record_deployed", "record_serving", "record_packets", "record_eval_run"]
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
        removed = f"Remove {run.inference_service} after the evaluation"
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
        name = world.run.inference_service
        runtime, _ = yaml.safe_load_all(world.git.read(f"serving/evals/{name}.yaml"))
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

    def test_ends_when_the_engine_refuses_every_packet(self, world):
        world.engine.refuses = True
        run = world.step(3)
        assert (run.status, run.reason) == (Status.ERROR, "TOO_MANY_FAILED")
        assert "The candidate failed at" in run.message
        assert "The engine refused it (400): too long" in run.message
        assert world.engine.calls < len(world.packets)

    def test_a_run_that_never_was_committed_has_nothing_to_remove(self, world):
        actions.fail_eval_run(run=world.run, reason="R", message="m", now=NOW)
        run = world.step()
        assert run.removed_at is not None
        assert world.commits() == []


class TestSideBySide:
    def test_asks_both_the_same_packets_and_judges_by_the_rule(self, pair):
        pair.engines[pair.run.baseline.name] = theirs = EngineDouble()
        run = pair.step(3)
        assert run.status == Status.PASSED
        ids = {packet.id for packet in pair.packets}
        for side in Side:
            rows = run.packet_results.filter(side=side)
            assert {each.packet_id for each in rows} == ids
        assert pair.engine.calls == theirs.calls == len(ids)
        assert {model for model, _ in theirs.asked} == {run.service_of(Side.BASELINE)}
        assert run.baseline_metrics["f1"] > 0.9
        assert run.baseline_engine == "stand-in"
        (compared,) = run.judgement["comparisons"]
        assert (compared["metric"], compared["held"]) == ("f1", True)
        assert compared["difference"] == pytest.approx(
            run.metrics["f1"] - run.baseline_metrics["f1"], abs=2e-4
        )

    def test_refuses_what_is_worse_than_what_serves(self, pair):
        suite = EvalSuite.objects.filter(pk=pair.run.suite_id)
        with unguarded():
            suite.update(rule={"confidence": 0.95, "not_worse_by": {"f1": 0.02}}, thresholds={})
        pair.engines[pair.run.model_version.name] = EngineDouble(max_characters=40)
        run = pair.step(3)
        assert run.status == Status.FAILED
        assert run.metrics["f1"] < run.baseline_metrics["f1"]
        (compared,) = run.judgement["comparisons"]
        assert compared["held"] is False
        assert compared["low"] < -0.02

    def test_serves_both_in_one_commit_and_takes_both_away_in_another(self, pair):
        run = pair.step()
        names = [run.service_of(side) for side in Side]
        paths = [f"serving/evals/{name}.yaml" for name in names]
        assert all(pair.git.read(path) for path in paths)
        assert pair.commits()[
            0
        ] == f"Evaluate {run.model_version} against {run.baseline} on " + str(run.suite)
        pair.step(3)
        pair.cluster.status = GONE
        run = pair.step()
        assert [pair.git.read(path) for path in paths] == [None, None]
        assert (run.removed_at, run.next_check_at) == (pair.now, None)
        assert len(pair.commits()) == 2

    def test_serves_each_with_its_own_settings_and_one_replica(self, pair):
        theirs = ServingSettings(gpus=2, tensor_parallelism=2, replicas_least=2, replicas_most=4)
        with unguarded():
            EvalRun.objects.update(baseline_settings=theirs.as_json())
        run = pair.step()
        specs = {}
        for side in Side:
            content = pair.git.read(f"serving/evals/{run.service_of(side)}.yaml")
            _, service = yaml.safe_load_all(content)
            specs[side] = service["spec"]["predictor"]
        limits = [spec["model"]["resources"]["limits"] for spec in specs.values()]
        assert [each["nvidia.com/gpu"] for each in limits] == ["1", "2"]
        assert {(spec["minReplicas"], spec["maxReplicas"]) for spec in specs.values()} == {(1, 1)}

    def test_waits_for_the_baseline_too_and_says_so(self, pair):
        pair.step()
        pair.cluster.of[pair.run.baseline.name] = ServingStatus(
            exists=True, pods=(PodStatus("p", node="n"),)
        )
        run = pair.step()
        assert (run.status, run.reason) == (Status.STARTING, "WEIGHTS")
        assert run.message.startswith("The baseline: ")

    @pytest.mark.parametrize("which", ["model_version", "baseline"])
    def test_ends_when_one_of_both_is_quarantined(self, pair, which):
        pair.step(2)
        found = {"reason": "REPLACED", "message": "expected sha256 aa."}
        version = getattr(pair.run, which)
        catalog.quarantine_version(version=version, **found, now=pair.now)
        run = pair.step()
        assert (run.status, run.reason) == (Status.ERROR, "QUARANTINED")
        assert run.message == f"{version.name} has been quarantined."

    def test_never_scores_a_baseline_that_is_another_version(self, pair):
        name = pair.run.baseline.name
        pair.cluster.pods[name] = (PodStatus("p", loaded=Loaded("sha256:" + "f" * 64)),)
        run = pair.step(2)
        assert (run.status, run.reason) == (Status.ERROR, "OTHER_WEIGHTS")
        assert run.message.startswith("The baseline's loader read")


class TestBadEngines:
    """Whatever an engine does, the run ends, and says of which packet what happened."""

    def first(self, world):
        """Return words of one packet alone."""
        return world.packets[3].text[:60]

    @pytest.mark.parametrize(
        ("how", "problem"), [(PAGE, "NOT_A_STREAM"), (ENDLESS, "ENDLESS"), (FAILS, "STUMBLED")]
    )
    def test_a_packet_without_an_answer_counts_with_nothing_said(self, world, how, problem):
        world.engine.bad = {self.first(world): how}
        run = world.step(3)
        assert run.status in (Status.PASSED, Status.FAILED)
        failed = run.packet_results.exclude(problem="").get()
        assert (failed.packet_id, failed.problem, failed.answer) == (
            world.packets[3].id, problem, "",
        )  # fmt: skip
        assert failed.problem_words
        assert failed.score["predicted"] == []
        assert run.metrics["answered"] == round(1 - 1 / len(world.packets), 4)

    def test_one_that_is_killed_by_a_packet_gets_it_three_times(self, world):
        world.engine.bad = {self.first(world): AWAY}
        world.step(2)
        for _ in range(3):
            world.engine.is_away = False
            run = world.step()
            assert run.status == Status.RUNNING
        world.engine.is_away = False
        run = world.step()
        assert run.status in (Status.PASSED, Status.FAILED)
        assert run.packet_results.exclude(problem="").get().problem == "STUMBLED"

    def test_one_that_stays_away_ends_the_run_after_a_quarter_of_an_hour(self, world):
        world.step(2)
        world.engine.dies_at = 5
        run = world.step()
        started = world.now
        while run.status == Status.RUNNING:
            run = world.step()
        assert (run.status, run.reason) == (Status.ERROR, "AWAY_TOO_LONG")
        assert timedelta(minutes=15) < world.now - started < timedelta(minutes=25)
        assert not run.packet_results.exclude(problem="").exists()

    def test_a_baseline_that_answers_nothing_does_not_hold_up_what_would_mend_it(self, pair):
        pair.engines[pair.run.baseline.name] = EngineDouble(refuses=True)
        run = pair.step(3)
        assert run.status == Status.PASSED
        assert run.metrics["answered"] == 1
        assert run.baseline_metrics["answered"] == 0


class TestCost:
    def test_ends_a_run_whose_machines_may_have_cost_its_limit(self, pair):
        pair.step()
        pair.step()
        with unguarded():
            EvalRun.objects.update(cost_limit_usd=Decimal("0.10"))
        pair.price = lambda _: Decimal("1.50")
        run = pair.step()
        assert (run.status, run.reason) == (Status.ERROR, "COST_LIMIT")
        assert "may have cost $0.20 by their list prices, and it was given $0.10" in run.message
        assert run.cost_usd == Decimal("0.2000")
        pair.cluster.status = GONE
        assert pair.step(2).removed_at is not None

    def test_is_unknown_without_a_price_and_ends_nothing(self, pair):
        with unguarded():
            EvalRun.objects.update(cost_limit_usd=Decimal("0.01"))
        pair.price = lambda _: None
        run = pair.step(3)
        assert (run.status, run.cost_usd) == (Status.PASSED, None)

    def test_counts_a_machine_that_another_one_took_the_place_of(self, pair):
        taken = NodeClaimStatus("taken-back", instance_type="p5.48xlarge")
        pair.step()
        pair.cluster.status = replace(READY, ready=False, node_claim=taken)
        pair.step(2)
        pair.cluster.status = READY
        run = pair.step(2)
        for side in Side:
            machine = run.machines[side]
            assert machine["instance_type"] == run.machine_of(side) == "g6.xlarge"
            (earlier,) = machine["earlier"]
            assert earlier["instance_type"] == "p5.48xlarge"
        # 8 minutes of the one and 4 of the other, of both sides
        assert run.cost_usd == 2 * Decimal("1.006") * 12 / 60

    def test_is_unknown_where_a_side_answers_on_a_machine_that_nobody_saw(self, pair):
        for side in Side:
            name = pair.run.version_of(side).name
            unseen = replace(READY, node_claim=None, pods=pair.cluster.pods[name])
            pair.cluster.of[name] = unseen
        run = pair.step(3)
        assert (run.status, run.machines, run.cost_usd) == (Status.PASSED, {}, None)

    @pytest.mark.parametrize("passes", [1, 2])
    def test_ends_a_run_also_while_nothing_answers(self, pair, passes):
        def away():
            raise TemporaryError("The cluster is not there.")

        pair.step()
        pair.cluster.status = replace(READY, ready=False)
        pair.step()  # the machines are seen
        pair.cluster.status = READY
        pair.step(passes - 1)
        with unguarded():
            EvalRun.objects.update(cost_limit_usd=Decimal("0.10"))
        pair.engine.is_away = True
        run = pair.step(cluster=away)
        assert (run.status, run.reason) == (Status.ERROR, "COST_LIMIT")

    def test_is_kept_with_the_machines_that_were_seen(self, pair):
        run = pair.step(3)
        assert {side: each["instance_type"] for side, each in run.machines.items()} == {
            "CANDIDATE": "g6.xlarge", "BASELINE": "g6.xlarge",
        }  # fmt: skip
        assert run.cost_usd > 0


class TestTheReport:
    def test_is_locked_beside_the_version_once_with_the_digest_of_the_run(self, pair):
        pair.step(4)
        pair.cluster.status = GONE
        run = pair.step()
        key = f"{run.model_version.registered_model.name}/evals/{run.pk}.json"
        assert run.report_key == key
        assert not key.startswith(run.model_version.prefix)
        assert digest_of_bytes(pair.registry.kept[key]) == run.report_digest
        assert pair.registry.locked[key] > pair.now + timedelta(days=29)

    def test_is_found_again_after_a_kill_between_registry_and_row(self, pair, monkeypatch):
        pair.step(3)
        with monkeypatch.context() as patch:
            patch.setattr(actions, "record_report_stored", lambda **_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                pair.step()
        pair.cluster.status = GONE
        run = pair.step(2)
        assert (run.report_key != "", run.next_check_at) == (True, None)
        assert len(pair.registry.kept) == 1

    def test_that_somebody_else_wrote_is_never_taken_for_it(self, pair):
        pair.step(3)
        pair.registry.kept[f"{pair.run.model_version.registered_model.name}/evals/"
                           f"{pair.run.pk}.json"] = b"{}"  # fmt: skip
        pair.cluster.status = GONE
        run = pair.step(3)
        assert (run.report_key, run.status) == ("", Status.PASSED)
        assert run.next_check_at is not None

    def test_is_tried_again_while_the_registry_is_away_and_holds_no_machine(self, pair):
        def away():
            raise TemporaryError("The model registry (S3) cannot be reached.")

        pair.step(4, registry=away)
        pair.cluster.status = GONE
        run = pair.step(2, registry=away)
        assert (run.removed_at is not None, run.report_key) == (True, "")
        assert run.next_check_at is not None
        run = pair.step()
        assert (run.report_key != "", run.next_check_at) == (True, None)


class TestCanceling:
    @pytest.mark.parametrize("passes", [0, 1, 2])
    def test_ends_an_open_run_and_takes_everything_away(self, pair, passes, carol):
        pair.step(passes)
        actions.cancel_eval_run(run=pair.run, actor=carol, now=pair.now)
        pair.cluster.status = GONE
        run = pair.step(3)
        assert (run.status, run.canceled_by, run.removed_at is not None) == (
            Status.CANCELED, carol, True,
        )  # fmt: skip
        assert run.packet_results.count() == 0
        assert all(pair.git.read(f"serving/evals/{run.service_of(s)}.yaml") is None for s in Side)

    def test_takes_away_what_another_worker_was_committing_meanwhile(
        self, pair, carol, monkeypatch
    ):
        commit = reconcile.serving.commit

        def canceled_meanwhile(run, around):
            other = EvalRun.objects.get(pk=run.pk)
            actions.cancel_eval_run(run=other, actor=carol, now=pair.now)
            reconcile.reconcile_eval_run(run=other, around=around, now=pair.now)
            assert EvalRun.objects.get(pk=run.pk).removed_at == pair.now  # nothing was there
            return commit(run, around)

        with monkeypatch.context() as patch:
            patch.setattr(reconcile.serving, "commit", canceled_meanwhile)
            run = pair.step()
        paths = [f"serving/evals/{run.service_of(side)}.yaml" for side in Side]
        assert (run.status, run.removed_at) == (Status.CANCELED, None)
        assert all(pair.git.read(path) for path in paths)
        pair.cluster.status = GONE
        run = pair.step(3)
        assert [pair.git.read(path) for path in paths] == [None, None]
        assert (run.removed_at is not None, run.next_check_at) == (True, None)
        assert audited(run).count(Action.EVAL_COMMITTED) == 1

    def test_stops_a_pass_that_is_asking(self, pair, carol, monkeypatch):
        pair.step(2)
        keep = actions.record_packets

        def canceled_meanwhile(**given):
            if not pair.run.packet_results.exists():
                other = EvalRun.objects.get(pk=pair.run.pk)
                actions.cancel_eval_run(run=other, actor=carol, now=pair.now)
            return keep(**given)

        monkeypatch.setattr(actions, "record_packets", canceled_meanwhile)
        run = pair.step()
        assert run.status == Status.CANCELED
        assert pair.engine.calls < len(pair.packets)
