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
        "raises it, or another",
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
        "raises it with AWS",
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
        "raises it with AWS",
    ),
    "the NodePool's limit, after a launch that was refused": (
        serving(
            WAITING,
            events=(note("FailedScheduling", LIMITS, AT.replace(second=9)),),
            node_events=(note("InsufficientCapacityError", ICE),),
        ),
        "NODEPOOL_LIMIT",
        False,
        "raises it, or another",
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
        "model-reader",
    ),
    "S3 denies access": (
        failed_load("config.json: S3 answered 403 AccessDenied"),
        "S3_DENIED",
        False,
        "gives the role",
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
