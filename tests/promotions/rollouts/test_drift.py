"""What serves, held against what was approved; no database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.integrations.kubernetes.types import (
    Condition,
    ContainerStatus,
    Loaded,
    PodStatus,
    RouteStatus,
    ServingStatus,
)
from apps.manifests import gateway, serving
from apps.manifests.text import to_yaml
from apps.promotions.rollouts import drift
from apps.promotions.rollouts.drift import Approved, Check, Verdict, What
from tests.manifests.objects import MODEL, VERSION

AT = datetime(2026, 8, 22, tzinfo=UTC)
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
PULLED, MOVED = "sha256:" + "c" * 64, "sha256:" + "d" * 64
PINNED = f"vllm/vllm-openai@{PULLED}"
ARGUMENTS = ("python3", "--seed=1", "--model=/mnt/models")
LIMITS = {"cpu": "3", "memory": "12Gi", "nvidia.com/gpu": "2"}
CONTAINER = {"image": PINNED, "arguments": list(ARGUMENTS), "limits": LIMITS}
APPROVED = Approved("m-v2", DIGEST, CONTAINER, {"m-v2": 100})
POD = PodStatus(
    "p1",
    conditions={"Ready": Condition("Ready", "True", at=AT)},
    engine_container=ContainerStatus(state="running", started_at=AT, ready=True),
    manifest_digest=DIGEST,
    loaded=Loaded(DIGEST, 5, 1000, 1.5, "Registry key ab"),
    image=PINNED,
    image_digest=PULLED,
    arguments=ARGUMENTS,
    limits=LIMITS,
)
SECOND = replace(POD, name="p2")
ROUTE = RouteStatus(exists=True, weights={"m-v2": 100, "m-v1": 0})


def checked(*pods, approved=APPROVED, route=ROUTE, **more):
    """Return the checks by what they are about."""
    status = ServingStatus(exists=True, manifest_digest=DIGEST, pods=pods, **more)
    return {check.what: check for check in drift.checks(approved, status, route)}


def verdicts(*pods, **more):
    return {what: check.verdict for what, check in checked(*pods, **more).items()}


class TestChecks:
    def test_find_everything_as_approved(self):
        assert verdicts(POD, SECOND) == dict.fromkeys(What, Verdict.SAME)

    def test_say_of_a_service_that_is_gone_only_that(self):
        found = drift.checks(APPROVED, ServingStatus(exists=False), ROUTE)
        assert [(check.what, check.verdict) for check in found] == [(What.SERVICE, "DIFFERENT")]

    @pytest.mark.parametrize(
        ("what", "change", "found"),
        [
            (What.WEIGHTS, {"loaded": Loaded(OTHER)}, OTHER),
            (What.NAMED, {"manifest_digest": OTHER}, OTHER),
            (What.IMAGE, {"image": "vllm/vllm-openai:v0.33.0"}, "vllm/vllm-openai:v0.33.0"),
            (What.PULLED, {"image_digest": MOVED}, MOVED),
            (What.ARGUMENTS, {"arguments": (*ARGUMENTS, "--trust")}, "--trust"),
            (What.ARGUMENTS, {"arguments": ARGUMENTS[:-1]}, "nothing"),
            (What.ARGUMENTS, {"arguments": ()}, "nothing"),
            (What.ARGUMENTS, {"arguments": ARGUMENTS[::-1]}, " ".join(ARGUMENTS[::-1])),
            (
                What.SIZE,
                {"limits": LIMITS | {"nvidia.com/gpu": "1"}},
                "cpu 3, memory 12Gi, nvidia.com/gpu 1",
            ),
            (What.SIZE, {"limits": {}}, "cpu none, memory none, nvidia.com/gpu none"),
        ],
    )
    def test_find_what_differs_in_one_replica_of_two_and_nothing_else(self, what, change, found):
        for pods in ((POD, replace(SECOND, **change)), (replace(POD, **change), SECOND)):
            seen = checked(*pods)
            differing = {each for each, check in seen.items() if check.verdict == "DIFFERENT"}
            assert differing == {what}
            assert seen[what].found == found

    def test_tell_of_arguments_only_those_that_differ(self):
        other = replace(POD, arguments=("python3", "--seed=2", "--model=/mnt/models"))
        check = checked(other)[What.ARGUMENTS]
        assert (check.approved, check.found) == ("--seed=1", "--seed=2")

    def test_take_a_quantity_for_what_it_is_however_it_is_written(self):
        written = {"cpu": "3000m", "memory": "12288Mi", "nvidia.com/gpu": "2"}
        also = written | {"ephemeral-storage": "1Gi"}
        assert verdicts(replace(POD, limits=also))[What.SIZE] == Verdict.SAME

    def test_take_a_quantity_as_the_cluster_writes_a_large_one(self):
        limits = LIMITS | {"memory": "2048Gi"}
        approved = replace(APPROVED, container=CONTAINER | {"limits": limits})
        for memory, verdict in (("2Ti", Verdict.SAME), ("1Ti", Verdict.DIFFERENT)):
            pod = replace(POD, limits=limits | {"memory": memory})
            assert checked(pod, approved=approved)[What.SIZE].verdict == verdict

    def test_say_nothing_of_a_size_that_was_not_kept(self):
        kept = {key: CONTAINER[key] for key in ("image", "arguments")}
        assert What.SIZE not in checked(POD, approved=replace(APPROVED, container=kept))

    def test_leave_replicas_alone_that_go_away(self):
        going = replace(SECOND, deleting=True, loaded=Loaded(OTHER), image="x", arguments=())
        assert verdicts(POD, going) == dict.fromkeys(What, Verdict.SAME)

    def test_find_a_manifest_that_the_service_no_longer_names(self):
        status = ServingStatus(exists=True, manifest_digest="", pods=(POD,))
        found = {check.what: check for check in drift.checks(APPROVED, status)}
        assert (found[What.NAMED].verdict, found[What.NAMED].found) == ("DIFFERENT", "none")

    def test_say_nothing_of_replicas_where_there_are_none(self):
        assert set(checked()) == {What.SERVICE, What.NAMED, What.ROUTE}


class TestWhatIsNotKnown:
    def test_is_a_replica_whose_loader_said_nothing(self):
        check = checked(POD, replace(SECOND, loaded=None))[What.WEIGHTS]
        assert check.verdict == Verdict.UNKNOWN
        assert check.found == "The loader of p2 left no word of what it read."

    def test_is_also_one_that_only_the_service_calls_ready(self):
        silent = replace(POD, loaded=None, conditions={})
        assert checked(silent, ready=True)[What.WEIGHTS].verdict == Verdict.UNKNOWN
        assert What.WEIGHTS not in checked(silent), "it has not begun yet"

    def test_hides_no_difference(self):
        found = checked(replace(POD, loaded=None), replace(SECOND, loaded=Loaded(OTHER)))
        assert found[What.WEIGHTS].verdict == Verdict.DIFFERENT

    def test_is_the_image_of_a_node_that_tells_nothing(self):
        found = checked(POD, replace(SECOND, image_digest=""))
        assert (found[What.IMAGE].verdict, found[What.PULLED].verdict) == ("SAME", "UNKNOWN")
        assert found[What.PULLED].found == "The node does not tell which image it pulled."
        found = checked(replace(POD, image_digest=MOVED), replace(SECOND, image_digest=""))
        assert found[What.PULLED].verdict == Verdict.DIFFERENT

    def test_is_what_a_tag_stands_for(self):
        tagged = replace(APPROVED, container=APPROVED.container | {"image": "vllm:1"})
        one = replace(POD, image="vllm:1")
        found = checked(one, approved=tagged)
        assert (found[What.IMAGE].verdict, found[What.PULLED].verdict) == ("SAME", "UNKNOWN")
        assert found[What.PULLED].found == f"It was approved by its tag, which runs {PULLED} now."
        two = replace(one, name="p2", image_digest=MOVED)
        words = checked(one, two, approved=tagged)[What.PULLED].found
        assert words == f"It was approved by its tag, which runs {PULLED} and {MOVED} now."
        silent = replace(one, image_digest="")
        words = checked(silent, approved=tagged)[What.PULLED].found
        assert words == "It was approved by its tag."

    def test_is_not_asked_of_an_engine_that_has_not_started(self):
        waiting = replace(POD, engine_container=ContainerStatus(state="waiting"), image_digest="")
        assert What.PULLED not in checked(waiting)

    def test_is_the_container_of_a_rollout_from_before(self):
        found = verdicts(POD, approved=replace(APPROVED, container={}))
        assert (found[What.IMAGE], found[What.ARGUMENTS]) == ("UNKNOWN", "UNKNOWN")
        assert (found[What.WEIGHTS], What.PULLED in found) == ("SAME", False)


class TestTheRoute:
    @pytest.mark.parametrize(
        ("weights", "verdict", "found"),
        [
            ({"m-v2": 100}, "SAME", "m-v2 100 %"),
            ({"m-v2": 90, "m-v1": 10}, "DIFFERENT", "m-v1 10 %, m-v2 90 %"),
            ({"m-v1": 100}, "DIFFERENT", "m-v1 100 %"),
            ({}, "DIFFERENT", "nobody"),
        ],
    )
    def test_gives_all_callers_to_the_version(self, weights, verdict, found):
        check = checked(POD, route=RouteStatus(exists=True, weights=weights))[What.ROUTE]
        assert (check.verdict, check.found) == (verdict, found)

    def test_that_is_gone_differs(self):
        check = checked(POD, route=RouteStatus(exists=False, weights={}))[What.ROUTE]
        assert (check.verdict, check.found) == ("DIFFERENT", "no route")

    def test_is_not_looked_at_while_it_moves(self):
        assert What.ROUTE not in checked(POD, approved=replace(APPROVED, weights=None))
        assert What.ROUTE not in checked(POD, route=None)


class TestKept:
    BEFORE = [{"what": str(What.WEIGHTS), "approved": DIGEST, "found": OTHER}]

    def keep(self, *pods, before=BEFORE, **more):
        return drift.kept(before, list(checked(*pods, **more).values()))

    def test_ends_only_when_that_very_thing_was_seen_to_be_right(self):
        assert self.keep() == self.BEFORE, "the replica went away: that proves nothing"
        assert self.keep(replace(POD, loaded=None)) == self.BEFORE
        assert self.keep(POD) == []

    def test_tells_the_newest_and_one_of_each(self):
        newer = replace(POD, loaded=Loaded(MOVED), arguments=())
        found = self.keep(newer)
        assert [(one["what"], one["found"]) for one in found] == [
            (str(What.WEIGHTS), MOVED),
            (str(What.ARGUMENTS), "nothing"),
        ]

    @pytest.mark.parametrize(
        ("what", "change"),
        [
            (What.WEIGHTS, {"loaded": Loaded(OTHER)}),
            (What.NAMED, {"manifest_digest": OTHER}),
            (What.IMAGE, {"image": "vllm:9"}),
            (What.ARGUMENTS, {"arguments": ()}),
        ],
    )
    def test_ends_each_difference_where_nobody_knows_more_than_here(self, what, change):
        """An engine named by its tag, on a node that tells no digest: as in the local stack."""
        tagged = replace(APPROVED, container=APPROVED.container | {"image": "vllm:1"})
        right = replace(POD, image="vllm:1", image_digest="")
        wrong = self.keep(replace(right, **change), before=[], approved=tagged)
        assert [row["what"] for row in wrong] == [str(what)]
        assert self.keep(right, before=wrong, approved=tagged) == []

    @given(
        before=st.lists(st.sampled_from(list(What)), unique=True),
        found=st.dictionaries(st.sampled_from(list(What)), st.sampled_from(list(Verdict))),
    )
    def test_never_forgets(self, before, found):
        """What differed is told until it was the same; what is told differs or did."""
        rows = [{"what": str(what), "approved": "a", "found": "b"} for what in before]
        checks = [Check(what, "a", "c", verdict) for what, verdict in found.items()]
        told = {one["what"] for one in drift.kept(rows, checks)}
        differing = {str(what) for what, verdict in found.items() if verdict == "DIFFERENT"}
        right = {str(what) for what, verdict in found.items() if verdict == "SAME"}
        assert told == (set(map(str, before)) | differing) - right
        assert len(drift.kept(rows, checks)) == len(told)


class TestContainerOf:
    def files(self, **change):
        version = replace(VERSION, runtime=VERSION.name, **change)
        runtime = serving.serving_runtime("models", PINNED, 60, VERSION.name)
        service = serving.inference_service(version)
        backends = gateway.backend_objects(model=MODEL, number=7)
        accounts = serving.service_accounts("m")
        return {
            "serving/models/m/account.yaml": to_yaml(accounts),
            "serving/models/m/v7.yaml": to_yaml([runtime, service, *backends]),
            "serving/models/m/v6.yaml": None,
        }

    def test_is_what_kserve_makes_of_runtime_and_version(self):
        found = drift.container_of(self.files(max_model_len=4096), VERSION.name)
        assert found["image"] == PINNED
        assert found["arguments"] == [
            "python3", "-m", "vllm.entrypoints.openai.api_server", "--port=8080",
            f"--served-model-name={VERSION.name}", "--model=/mnt/models",
            "--generation-config=/mnt/models", "--enable-prompt-tokens-details",
            "--enable-force-include-usage",
            "--api-key", "$(ENGINE_KEY)", "$(ENGINE_KEY_FORMER)", "$(ENGINE_KEY_NEXT)",
            "--max-model-len=4096", "--tensor-parallel-size=1",
        ]  # fmt: skip
        assert found["limits"] == {"cpu": "3", "memory": "12Gi", "nvidia.com/gpu": "1"}

    def test_is_not_known_without_the_version_or_its_own_runtime(self):
        assert drift.container_of(self.files(), "other-v1") == {}
        shared = to_yaml([serving.inference_service(replace(VERSION, runtime="vllm"))])
        runtimes = to_yaml([serving.serving_runtime("models", PINNED, 60, VERSION.name)])
        assert drift.container_of({"a": shared, "b": runtimes}, VERSION.name) == {}
        own = to_yaml([serving.serving_runtime("models", PINNED, 60, "vllm")])
        assert drift.container_of({"a": shared, "b": own}, VERSION.name)["image"] == PINNED


class TestWords:
    def test_name_all_that_differs_with_both_sides(self):
        rows = drift.kept(
            (), list(checked(replace(POD, arguments=(), loaded=Loaded(OTHER))).values())
        )
        words = drift.words("m-v2", rows)
        assert words.startswith("What serves as m-v2 is not what was approved. ")
        assert f"Weights as its loader read them: approved {DIGEST}, found {OTHER}" in words
        assert "Arguments of the engine: approved python3 --seed=1 --model=/mnt/models" in words

    def test_say_of_a_missing_service_what_is_missing(self):
        rows = drift.kept((), drift.checks(APPROVED, ServingStatus(exists=False)))
        assert drift.words("m-v2", rows).startswith("m-v2 is approved and should serve, but the")
