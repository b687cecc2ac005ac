"""What stands in the way, as a table: the systems' own messages, the code, and what people are told
to do.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apps.gitops import sync, trouble
from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    Condition,
    ContainerStatus,
    EventNote,
    NodeClaimStatus,
    PodStatus,
    ResourceStatus,
    ServingStatus,
)
from apps.promotions.rollouts import pages as rollout_pages

AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LOADED = ContainerStatus(state="terminated", exit_code=0)
POD = PodStatus(name="p", node="n", initializer=LOADED, created_at=AT)
WAITING = replace(POD, node="", initializer=ContainerStatus())
SCHEDULER = (
    "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. no new claims to deallocate, "
    "preemption: 0/3 nodes"
)
LIMITS = (
    "Failed to schedule pod, all available instance types exceed limits for nodepool "
    "(NodePool=gpu-inference)"
)
SHORT = (
    "Failed to schedule pod, no instance type which met the scheduling requirements and had enough "
    "resources, had a "
    "required offering, requirements=karpenter.sh/capacity-type In [on-demand spot]"
)
SPOT_ONLY = (
    "Failed to schedule pod, incompatible requirements, key karpenter.sh/capacity-type, "
    "karpenter.sh/capacity-type "
    "NotIn [spot] not in karpenter.sh/capacity-type In [spot] (NodePool=gpu-inference)"
)
ICE = (
    "NodeClaim gpu-inference-x7k2p event: creating instance, insufficient capacity, all requested "
    "instance types were"
)


def serving(pod=POD, **more):
    return ServingStatus(exists=True, pods=(pod,) if pod else (), **more)


def note(reason, message, at=AT, about=""):
    return EventNote("Warning", reason, message, at, about)


def failed_load(message):
    return serving(
        replace(POD, initializer=ContainerStatus(state="terminated", exit_code=1, message=message))
    )


def ended(message="", *, reason="Error", code=1, restarts=1, events=()):
    engine = ContainerStatus(
        state="waiting", reason="CrashLoopBackOff", restarts=restarts, last_reason=reason,
        last_message=message,
        last_exit_code=code,
    )  # fmt: skip
    return serving(replace(POD, engine_container=engine), events=events)


TABLE = {
    "no capacity, as Karpenter plans": (
        serving(
            WAITING, events=(note("FailedScheduling", SCHEDULER), note("FailedScheduling", SHORT))
        ),
        "NO_CAPACITY",
        False,
        "widen the NodePool",
    ),
    "no capacity, because the pool buys Spot only": (
        serving(
            WAITING,
            events=(note("FailedScheduling", SCHEDULER), note("FailedScheduling", SPOT_ONLY)),
        ),
        "NO_CAPACITY",
        False,
        "buys Spot only",
    ),
    "no capacity, as a launch fails": (
        serving(
            WAITING,
            events=(note("FailedScheduling", SCHEDULER),),
            node_events=(note("InsufficientCapacityError", ICE),),
        ),
        "NO_CAPACITY",
        False,
        "insufficient capacity",
    ),
    "the NodePool's limit": (
        serving(WAITING, events=(note("FailedScheduling", LIMITS),)),
        "NODEPOOL_LIMIT",
        False,
        "can raise it, or another",
    ),
    "the quota": (
        serving(
            WAITING,
            node_events=(
                note(
                    "InsufficientCapacityError",
                    "creating instance, VcpuLimitExceeded: You have "
                    "requested more vCPU capacity than your current vCPU limit of 64 allows",
                ),
            ),
        ),
        "QUOTA",
        False,
        "can raise it with AWS",
    ),
    "the quota, though Karpenter says later that nothing is left": (
        serving(
            WAITING,
            events=(
                note("Nominated", "Pod should schedule on: nodeclaim/c"),
                note("FailedScheduling", SHORT, AT.replace(second=9)),
            ),
            node_events=(
                note(
                    "InsufficientCapacityError", "VcpuLimitExceeded: You have requested", about="c"
                ),
            ),
        ),
        "QUOTA",
        False,
        "can raise it with AWS",
    ),
    "the NodePool's limit, after a launch that was refused": (
        serving(
            WAITING,
            events=(note("FailedScheduling", LIMITS, AT.replace(second=9)),),
            node_events=(note("InsufficientCapacityError", ICE),),
        ),
        "NODEPOOL_LIMIT",
        False,
        "can raise it, or another",
    ),
    "the scheduler alone": (
        serving(WAITING, events=(note("FailedScheduling", SCHEDULER),)),
        "SCHEDULING",
        False,
        "free GPU",
    ),
    "the scheduler alone, without a single node": (
        serving(WAITING, events=(note("FailedScheduling", "no nodes available to schedule pods"),)),
        "SCHEDULING",
        False,
        "free GPU",
    ),
    "a node on its way": (
        serving(
            WAITING,
            node_claim=NodeClaimStatus("c", instance_type="g6.xlarge"),
            events=(
                note("FailedScheduling", SHORT),
                note("Nominated", "Pod should schedule on: nodeclaim/c"),
            ),
        ),
        "NODE",
        False,
        "g6.xlarge",
    ),
    "a Spot interruption": (
        serving(
            WAITING,
            node_events=(note("SpotInterrupted", "Spot interruption warning was triggered"),),
        ),
        "SPOT",
        False,
        "another one by itself",
    ),
    "a Spot interruption, its node ended since": (
        serving(
            WAITING,
            node_events=(
                note("DisruptionTerminating", "Disrupting Node: Empty", about="other"),
                note("SpotInterrupted", "Spot interruption warning was triggered", about="c"),
                note(
                    "Finalized",
                    "Finalized karpenter.sh/termination",
                    AT.replace(second=9),
                    about="c",
                ),
            ),
        ),
        "SPOT",
        False,
        "another one by itself",
    ),
    "a node deleted by hand, after another one was taken back": (
        serving(
            WAITING,
            node_events=(
                note("SpotInterrupted", "Spot interruption warning was triggered", about="c"),
                note(
                    "Finalized",
                    "Finalized karpenter.sh/termination",
                    AT.replace(second=9),
                    about="d",
                ),
            ),
        ),
        "NODE_LOST",
        False,
        "taken away",
    ),
    "a consolidation": (
        serving(
            WAITING, node_events=(note("DisruptionTerminating", "Disrupting Node: Underutilized"),)
        ),
        "CONSOLIDATED",
        False,
        "to save money",
    ),
    "a node that was deleted": (
        serving(None, node_events=(note("Finalized", "Finalized karpenter.sh/termination"),)),
        "NODE_LOST",
        False,
        "taken away",
    ),
    "a node that was deleted before this rollout": (
        serving(
            WAITING,
            created_at=AT,
            node_events=(note("Finalized", "Finalized", AT.replace(hour=8, minute=59)),),
        ),
        "SCHEDULING",
        False,
        "free GPU",
    ),
    "a node that was deleted long before": (
        serving(WAITING, node_events=(note("Finalized", "Finalized", AT.replace(hour=3)),)),
        "SCHEDULING",
        False,
        "free GPU",
    ),
    "an image": (
        serving(
            replace(
                POD,
                initializer=ContainerStatus(
                    state="waiting",
                    reason="ErrImagePull",
                    message='failed to pull and unpack image "vllm/vllm-openai:v9": not found '
                    "(rehearsal)",
                ),
            )
        ),
        "IMAGE",
        False,
        "Check SERVING_IMAGE",
    ),
    "an image's name": (
        serving(
            replace(
                POD, engine_container=ContainerStatus(state="waiting", reason="InvalidImageName")
            )
        ),
        "IMAGE",
        True,
        "SERVING_IMAGE",
    ),
    "S3 refuses the key": (
        failed_load("s3://model-registry/m/v1/: S3 answered 403 SignatureDoesNotMatch"),
        "S3_DENIED",
        False,
        "the role of the model's service account",
    ),
    "S3 denies access": (
        failed_load("config.json: S3 answered 403 AccessDenied"),
        "S3_DENIED",
        False,
        "must give the role",
    ),
    "an object is missing": (
        failed_load("model.safetensors: S3 answered 404 NoSuchKey"),
        "OBJECT_MISSING",
        False,
        "from the replica",
    ),
    "a listed file is missing": (
        failed_load("model.safetensors: listed in manifest.json, missing in the registry"),
        "OBJECT_MISSING",
        False,
        "publish",
    ),
    "one bit is wrong": (
        failed_load("config.json: SHA-256 is 9f86 (10 bytes), manifest.json says 60303"),
        "CHECKSUM",
        True,
        "Nothing was served",
    ),
    "another manifest": (
        failed_load("manifest.json: its digest is sha256:a, approved was sha256:b"),
        "CHECKSUM",
        True,
        "publish it again",
    ),
    "a file too many": (
        failed_load("extra.bin: in the registry, not listed in manifest.json"),
        "CHECKSUM",
        True,
        "not the approved ones",
    ),
    "S3 is away": (
        failed_load("config.json: EndpointConnectionError"),
        "LOAD_FAILED",
        False,
        "registry answers",
    ),
    "an argument": (
        ended("api_server.py: error: unrecognized arguments: --no-such-flag", code=2),
        "BAD_ARGUMENT",
        True,
        "--no-such-flag",
    ),
    "an argument, and no message": (ended(code=2), "BAD_ARGUMENT", True, "the pod's log names it"),
    "out of memory, the container": (
        ended(reason="OOMKilled", code=137),
        "OUT_OF_MEMORY",
        False,
        "larger GPU",
    ),
    "out of memory, again and again": (
        ended(reason="OOMKilled", code=137, restarts=3),
        "OUT_OF_MEMORY",
        True,
        "shorter context",
    ),
    "out of memory, the GPU": (
        ended("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"),
        "OUT_OF_MEMORY",
        False,
        "larger GPU",
    ),
    "a load that takes too long": (
        ended(
            events=(
                note(
                    "Killing", "Container kserve-container failed startup probe, will be restarted"
                ),
            ),
            code=137,
        ),
        "LOAD_TIMEOUT",
        False,
        "longer probe",
    ),
    "one crash": (ended("Segmentation fault", code=139), "ENGINE_CRASHED", False, "started again"),
    "a crash loop": (
        ended("Segmentation fault", code=139, restarts=5),
        "CRASH_LOOP",
        True,
        "crashed 5 times",
    ),
    "an engine that loads": (
        serving(replace(POD, engine_container=ContainerStatus(state="running"))),
        "ENGINE",
        False,
        "loading",
    ),
}


class TestOfServing:
    @pytest.mark.parametrize("what", TABLE)
    def test_names_it_and_says_what_to_do(self, what):
        status, code, final, words = TABLE[what]
        found = trouble.of_serving(status)
        assert (found.code, found.final) == (code, final)
        assert words in found.words

    def test_finds_nothing_wrong_with_what_is_ready(self):
        assert trouble.of_serving(replace(serving(), ready=True)) is None


class TestOfServingOnceMore:
    """Boundaries, and what is told where several things are wrong."""

    def of(self, status):
        found = trouble.of_serving(status)
        return found.code, found.final

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("manifest.json: missing in the registry", "OBJECT_MISSING"),
            ("S3 answered NoSuchKey", "OBJECT_MISSING"),
            ("S3 answered NoSuchBucket", "OBJECT_MISSING"),
            ("S3 answered 404", "OBJECT_MISSING"),
            ("s3://r/m/v1/: nothing under this prefix", "OBJECT_MISSING"),
            ("a.json: its SHA-256 is ff", "CHECKSUM"),
            ("a.json: another digest", "CHECKSUM"),
            ("a.json: checksum differs", "CHECKSUM"),
            ("a.json is x, approved was y", "CHECKSUM"),
            ("a.json: 9 bytes in the registry", "CHECKSUM"),
            ("b.bin: not listed in it", "CHECKSUM"),
            ("this is not a manifest", "CHECKSUM"),
            ("manifest.json lists what may not be served. a.bin: it is", "CHECKSUM"),
            ("model.sig was not made by Registry key ab", "CHECKSUM"),
            ("model.sig was made for another a.json", "CHECKSUM"),
            ("model.sig is not a model-signing bundle", "CHECKSUM"),
            ("model.sig describes something else", "CHECKSUM"),
            ("model.sig holds text/plain", "CHECKSUM"),
            ("model.sig: S3 answered 403 AccessDenied", "S3_DENIED"),
            ("S3 answered AccessDenied", "S3_DENIED"),
            ("Access Denied", "S3_DENIED"),
            ("InvalidAccessKeyId", "S3_DENIED"),
            ("SignatureDoesNotMatch", "S3_DENIED"),
            ("S3 answered 403", "S3_DENIED"),
            ("Forbidden", "S3_DENIED"),
            ("Connection reset by peer", "LOAD_FAILED"),
        ],
    )
    def test_knows_what_the_node_says_of_a_load(self, message, code):
        assert self.of(failed_load(message)) == (code, code == "CHECKSUM")

    def test_tells_a_load_that_failed_before_and_runs_again(self):
        again = ContainerStatus(state="running", last_exit_code=1, last_message="403 Forbidden.")
        found = trouble.of_serving(serving(replace(POD, initializer=again)))
        assert found.code == "S3_DENIED"
        assert "read the weights: 403 Forbidden. A platform engineer" in found.words
        well = replace(again, last_exit_code=0)
        assert self.of(serving(replace(POD, initializer=well))) == ("WEIGHTS", False)

    def test_takes_kserves_word_for_a_load_where_the_node_says_nothing(self):
        silent = ContainerStatus(state="terminated", exit_code=1)
        found = trouble.of_serving(serving(replace(POD, initializer=silent), message="404"))
        assert found.code == "OBJECT_MISSING"
        found = trouble.of_serving(serving(replace(POD, initializer=silent)))
        assert "could not be pulled: no message." in found.words
        loading = ContainerStatus(state="running")
        assert self.of(serving(replace(POD, initializer=loading), message="404"))[0] == "WEIGHTS"

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("error: unrecognized arguments: --x", "BAD_ARGUMENT"),
            ("--dtype: invalid choice: 'x'", "BAD_ARGUMENT"),
            ("--seed: expected one argument", "BAD_ARGUMENT"),
            ("invalid value: 'x'", "BAD_ARGUMENT"),
            ("api_server.py: error: argument --seed", "BAD_ARGUMENT"),
            ("CUDA out of memory", "OUT_OF_MEMORY"),
            ("torch.OutOfMemoryError", "OUT_OF_MEMORY"),
            ("No available memory for the cache blocks", "OUT_OF_MEMORY"),
            ("The model's KV cache is larger than what is left", "OUT_OF_MEMORY"),
            ("Segmentation fault", "ENGINE_CRASHED"),
        ],
    )
    def test_knows_what_the_engine_says_at_its_end(self, message, code):
        assert self.of(ended(message)) == (code, code == "BAD_ARGUMENT")

    def test_reads_the_end_that_is_shown_now_or_the_last_one(self):
        now = ContainerStatus(
            state="terminated", exit_code=1, message="CUDA out of memory", reason="Error",
            last_message="Segmentation fault", last_exit_code=139,
        )  # fmt: skip
        assert self.of(serving(replace(POD, engine_container=now)))[0] == "OUT_OF_MEMORY"
        killed = ContainerStatus(state="terminated", exit_code=137, reason="OOMKilled")
        found = trouble.of_serving(serving(replace(POD, engine_container=killed)))
        assert (found.code, "memory (OOMKilled)" in found.words) == ("OUT_OF_MEMORY", True)
        usage = ContainerStatus(state="terminated", exit_code=2, last_exit_code=1, restarts=1)
        assert self.of(serving(replace(POD, engine_container=usage)))[0] == "BAD_ARGUMENT"
        silent = ContainerStatus(state="waiting", restarts=1, last_exit_code=139)
        found = trouble.of_serving(serving(replace(POD, engine_container=silent)))
        assert found.words == "The engine crashed (exit code 139) and is started again."

    def test_says_nothing_of_an_end_once_the_engine_is_ready_again(self):
        ready = ContainerStatus(state="running", ready=True, restarts=4, last_exit_code=139)
        assert self.of(serving(replace(POD, engine_container=ready))) == ("ENGINE", False)

    @pytest.mark.parametrize(
        ("facts", "restarts", "code", "final"),
        [
            ({"reason": "OOMKilled"}, 2, "OUT_OF_MEMORY", False),
            ({"reason": "OOMKilled"}, 3, "OUT_OF_MEMORY", True),
            ({"probe": True}, 2, "LOAD_TIMEOUT", False),
            ({"probe": True}, 3, "LOAD_TIMEOUT", True),
            ({}, 4, "ENGINE_CRASHED", False),
            ({}, 5, "CRASH_LOOP", True),
        ],
    )
    def test_gives_up_after_so_many_times(self, facts, restarts, code, final):
        killing = note("Killing", "Container kserve-container failed startup probe")
        events = (killing,) if facts.get("probe") else ()
        status = ended(
            "Segmentation fault", reason=facts.get("reason", "Error"), restarts=restarts,
            events=events,
        )  # fmt: skip
        assert self.of(status) == (code, final)

    @pytest.mark.parametrize(
        "event",
        [
            note("Killing", "Container kserve-container failed liveness probe"),
            note("Unhealthy", "startup probe failed"),
        ],
    )
    def test_tells_a_slow_start_by_the_kubelets_own_event(self, event):
        assert self.of(ended("x", events=(event,)))[0] == "ENGINE_CRASHED"

    @pytest.mark.parametrize(
        ("reason", "final"),
        [
            ("ErrImagePull", False), ("ImagePullBackOff", False), ("ErrImageNeverPull", False),
            ("InvalidImageName", True),
        ],
    )  # fmt: skip
    def test_knows_an_image_that_cannot_be_pulled(self, reason, final):
        for name in ("initializer", "engine_container"):
            container = ContainerStatus(state="waiting", reason=reason)
            found = trouble.of_serving(serving(replace(POD, **{name: container})))
            assert (found.code, found.final) == ("IMAGE", final)
            assert f"cannot be pulled: {reason}. Check" in found.words

    def test_says_of_an_image_what_the_kubelet_said_but_not_all_of_it(self):
        denied = ContainerStatus(state="waiting", reason="ErrImagePull", message="d" * 201)
        found = trouble.of_serving(serving(replace(POD, initializer=denied)))
        assert f"cannot be pulled: {'d' * 200}. Check" in found.words

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("VcpuLimitExceeded", "QUOTA"),
            ("InstanceLimitExceeded", "QUOTA"),
            ("MaxSpotInstanceCountExceeded", "QUOTA"),
            ("over its quota", "QUOTA"),
            ("exceed limits for nodepool", "NODEPOOL_LIMIT"),
            ("limits of nodepool gpu", "NODEPOOL_LIMIT"),
            ("insufficient capacity", "NO_CAPACITY"),
        ],
    )
    def test_knows_why_no_machine_is_to_be_had(self, message, code):
        for reason in ("FailedScheduling", "InsufficientCapacityError"):
            assert self.of(serving(WAITING, events=(note(reason, message),)))[0] == code

    def test_reads_no_refusal_where_there_is_none(self):
        for event in (
            note("Scheduled", "VcpuLimitExceeded"),
            note("FailedScheduling", "VcpuLimitExceeded, but nominated to nodeclaim/c"),
        ):
            assert self.of(serving(WAITING, events=(event,)))[0] == "SCHEDULING"
        launch = note("InsufficientCapacityError", "0/3 nodes are available")
        assert self.of(serving(WAITING, events=(launch,)))[0] == "NO_CAPACITY"

    def test_forgets_every_refusal_before_a_newer_promise(self):
        refused = note("InsufficientCapacityError", ICE)
        promised = note("Nominated", "Pod should schedule on: nodeclaim/c", AT.replace(second=5))
        later = note("FailedScheduling", LIMITS, AT.replace(second=9))
        assert self.of(serving(WAITING, events=(promised, refused)))[0] == "SCHEDULING"
        both = (later, promised, refused)
        assert self.of(serving(WAITING, events=both))[0] == "NODEPOOL_LIMIT"

    def test_prefers_what_a_launch_was_answered(self):
        asked = note("InsufficientCapacityError", "VcpuLimitExceeded")
        planned = note("FailedScheduling", SHORT, AT.replace(second=9))
        undated = replace(planned, at=None)
        for plan in (planned, undated):
            assert self.of(serving(WAITING, events=(plan,), node_events=(asked,)))[0] == "QUOTA"

    def test_has_no_pod_before_kserve_makes_one(self):
        assert self.of(serving(None)) == ("STARTING", False)

    def test_names_the_machine_that_comes(self):
        for kind, words in (("g6.xlarge", "a g6.xlarge (c)"), ("", "a GPU node (c)")):
            claim = NodeClaimStatus("c", instance_type=kind)
            found = trouble.of_serving(serving(WAITING, node_claim=claim))
            assert found.words == f"Karpenter is bringing {words}."


class TestALostNode:
    """What Karpenter or the cloud said of the node under a pod that waits now."""

    def code(self, *notes, pod=WAITING, **more):
        return trouble.of_serving(serving(pod, node_events=notes, **more)).code

    @pytest.mark.parametrize(
        ("reason", "code"),
        [
            ("SpotInterrupted", "SPOT"),
            ("TerminatingOnInterruption", "SPOT"),
            ("DisruptionTerminating", "CONSOLIDATED"),
            ("Disrupted", "NODE_LOST"),
            ("Evicted", "NODE_LOST"),
            ("Finalized", "NODE_LOST"),
            ("TerminationGracePeriodExpiring", "NODE_LOST"),
            ("Launched", "SCHEDULING"),
        ],
    )
    def test_ends_in_these_ways(self, reason, code):
        assert self.code(note(reason, "m")) == code

    def test_is_told_with_what_is_done_now(self):
        found = trouble.of_serving(serving(WAITING, node_events=(note("Finalized", "Gone."),)))
        assert found.words.endswith("(Gone) Now: The pod waits for a node with a free GPU.")
        loading = serving(POD, node_events=(note("SpotInterrupted", "m"),))
        assert trouble.of_serving(loading).words.endswith("Now: The engine is loading the weights.")

    def test_is_the_newest_that_ended(self):
        first = note("SpotInterrupted", "m", about="c")
        second = note("DisruptionTerminating", "m", about="d")
        assert self.code(first, second) == "CONSOLIDATED"
        assert self.code(second, first) == "SPOT"

    @pytest.mark.parametrize(("seconds", "code"), [(300, "NODE_LOST"), (301, "SCHEDULING")])
    def test_is_not_one_from_long_before_the_pod(self, seconds, code):
        assert self.code(note("Finalized", "m", AT - timedelta(seconds=seconds))) == code

    @pytest.mark.parametrize(("seconds", "code"), [(0, "NODE_LOST"), (-1, "SCHEDULING")])
    def test_is_not_one_from_before_the_service(self, seconds, code):
        event = note("Finalized", "m", AT + timedelta(seconds=seconds))
        assert self.code(event, created_at=AT) == code

    def test_may_be_one_of_unknown_time(self):
        assert self.code(note("Finalized", "m", None), created_at=AT) == "NODE_LOST"
        bare = replace(WAITING, created_at=None)
        assert self.code(note("Finalized", "m"), pod=bare) == "NODE_LOST"


class TestIsAsleep:
    def test_is_ready_without_a_pod(self):
        assert trouble.is_asleep(serving(None, ready=True))
        assert not trouble.is_asleep(serving(None))
        assert not trouble.is_asleep(serving(POD, ready=True))


class TestKServesRefusal:
    def test_is_final_and_said_in_its_words_or_by_its_reason(self):
        for said, words in (("no runtime fits", "no runtime fits"), ("", "NoSupportingRuntime")):
            found = trouble.of_serving(
                serving(transition="InvalidSpec", reason="NoSupportingRuntime", message=said)
            )
            assert (found.code, found.final, found.is_problem) == ("INVALID_SPEC", True, True)
            assert found.words.startswith(f"KServe cannot serve this: {words}. Correct it")

    def test_is_none_while_the_runtime_may_come(self):
        found = trouble.of_serving(
            serving(transition="InvalidSpec", reason="RuntimeNotRecognized", ready=True)
        )
        assert (found.code, found.final, found.is_problem) == ("NO_RUNTIME", False, False)


class TestCut:
    def test_keeps_300_characters_without_the_last_full_stop(self):
        assert trouble.cut("  Two\n lines. ") == "Two lines"
        assert trouble.cut("--no_such_") == "--no_such_"
        assert trouble.cut("x" * 300) == "x" * 300
        assert trouble.cut("x" * 301) == "x" * 299 + "…"
        assert trouble.cut("x" * 298 + " yz") == "x" * 298 + "…"


OTHER = ResourceStatus(
    "InferenceService", "models", "other-v2", "OutOfSync", "admission webhook denied the request"
)
OWN = ResourceStatus("InferenceService", "models", "m-v1", "OutOfSync")
SYNCED = ApplicationStatus(
    exists=True,
    sync="Synced",
    revision="1" * 40,
    operation_phase="Succeeded",
    operation_revision="1" * 40,
    finished_at=AT,
    reconciled_at=AT + timedelta(seconds=2),
)
COMPARISON = Condition(
    "ComparisonError", "", message="Failed to load target state: yaml: line 3: mapping values"
)


class TestOfSync:
    @pytest.mark.parametrize(
        ("application", "code", "words"),
        [
            (ApplicationStatus(exists=False), "NO_APPLICATION", "deploy/argocd"),
            (replace(SYNCED, errors=(COMPARISON,)), "COMPARISON", "yaml: line 3"),
            (
                replace(SYNCED, resources=(replace(OWN, message="spec.foo: unknown"),)),
                "SYNC_FAILED",
                "spec.foo",
            ),
            (replace(SYNCED, resources=(OWN, OTHER)), "SYNC_BLOCKED", "22222222 waits behind it"),
            (
                replace(
                    SYNCED, errors=(Condition("SyncError", "", message="one or more tasks failed"),)
                ),
                "SYNC_FAILED",
                "one or more",
            ),
            (
                replace(SYNCED, operation_phase="Error", message="repo server is away"),
                "SYNC_FAILED",
                "server is away.",
            ),
            (
                replace(SYNCED, resources=(OWN,)),
                "OUT_OF_SYNC",
                "Somebody changed InferenceService m-v1",
            ),
        ],
    )
    def test_tells_argo_cds_ways_to_fail_apart(self, application, code, words):
        found = sync.of_sync(application, "InferenceService", "m-v1", "models", "2" * 40)
        assert found.code == code
        assert words in found.words

    @pytest.mark.parametrize(
        "change",
        [
            {"operation_phase": "Running"},
            {"operation_revision": "2" * 40},
            {"reconciled_at": AT - timedelta(seconds=1)},
            {"finished_at": None},
        ],
        ids=["a sync runs", "of another commit", "not compared since", "never synced"],
    )
    def test_is_quiet_while_a_sync_is_not_over(self, change):
        unfinished = replace(SYNCED, resources=(OWN,), **change)
        assert sync.of_sync(unfinished, "InferenceService", "m-v1", "models", "2" * 40) is None


def test_every_problem_has_a_title_on_the_page():
    assert rollout_pages.TITLES.keys() >= trouble.PROBLEMS


class TestNotApplied:
    def said(self, application, *, contained):
        return sync.not_applied(
            application, "NodePool", "gpu", "", "2" * 40, contained=contained
        ).code

    def test_tells_a_slow_argo_cd_from_one_that_is_done(self):
        assert self.said(SYNCED, contained=True) == "APPLIED"
        assert self.said(SYNCED, contained=False) == "SYNCING"
        assert self.said(replace(SYNCED, sync="OutOfSync"), contained=True) == "SYNCING"
        assert self.said(ApplicationStatus(exists=False), contained=True) == "NO_APPLICATION"
