import copy
from typing import ClassVar

import pytest

from deploy.local.kubelet import pods
from deploy.local.kubelet.faults import FAULTS, IMAGE_PULL, OF_THE_ENGINE, ordered
from deploy.local.kubelet.pods import Probe
from deploy.local.kubelet.settings import free_address

DOCUMENT = {
    "metadata": {
        "namespace": "models",
        "name": "p",
        "uid": "u",
        "labels": {pods.SERVICE_LABEL: "m-v1"},
        "annotations": {pods.DIGEST_ANNOTATION: "sha256:1"},
    },
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "sidecar", "image": "s"}, {"name": pods.MAIN, "image": "v"}],
    },
}


class TestReadPod:
    def test_finds_the_engine_among_the_containers(self) -> None:
        pod = pods.read_pod(DOCUMENT)
        assert (pod.main["image"], pod.others, pod.digest, pod.service) == (
            "v",
            ("sidecar",),
            "sha256:1",
            "m-v1",
        )
        assert (pod.grace, pod.deleting) == (30, False)

    def test_goes_on_before_it_ends_where_it_says_so(self) -> None:
        assert pods.read_pod(DOCUMENT).pre_stop == 0
        document = copy.deepcopy(DOCUMENT)
        engine = next(
            each for each in document["spec"]["containers"] if each["name"] == "kserve-container"
        )
        engine["lifecycle"] = {"preStop": {"sleep": {"seconds": 5}}}
        assert pods.read_pod(document).pre_stop == 5

    def test_takes_the_grace_of_the_deletion(self) -> None:
        metadata = {
            **DOCUMENT["metadata"],
            "deletionTimestamp": "now",
            "deletionGracePeriodSeconds": 3,
        }
        pod = pods.read_pod({**DOCUMENT, "metadata": metadata})
        assert (pod.grace, pod.deleting) == (3, True)


class TestExpand:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("--n=$(A)", "--n=1"),
            ("$(NO)", "$(NO)"),
            ("$$(A)", "$(A)"),
            ("$(A)$(B)", "12"),
            ("$A", "$A"),
        ],
    )
    def test_replaces_known_names(self, text: str, expected: str) -> None:
        assert pods.expand(text, {"A": "1", "B": "2"}) == expected


class TestEnvironment:
    def test_gives_values_and_pod_fields(self) -> None:
        env = [
            {"name": "A", "value": "1"},
            {"name": "B", "value": "$(A)2"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ]
        found = pods.environment(pods.read_pod(DOCUMENT), {"env": env}, "10.231.0.9")
        assert found == {"A": "1", "B": "12", "IP": "10.231.0.9"}

    def test_gives_annotations_and_nothing_for_one_that_is_not_there(self) -> None:
        def of(annotation: str) -> dict[str, object]:
            return {"fieldRef": {"fieldPath": f"metadata.annotations['{annotation}']"}}

        env = [
            {"name": "A", "valueFrom": of(pods.DIGEST_ANNOTATION)},
            {"name": "B", "valueFrom": of("other")},
        ]
        found = pods.environment(pods.read_pod(DOCUMENT), {"env": env}, "")
        assert found == {"A": "sha256:1", "B": ""}

    ENV: ClassVar = [
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "empty"}}},
    ]

    def test_fills_in_what_is_in_the_secrets_that_it_names(self) -> None:
        container = {"env": self.ENV, "args": ["--api-key", "$(KEY)", "$(NONE)"]}
        assert pods.secrets_of(container) == {"s"}
        found = pods.environment(
            pods.read_pod(DOCUMENT), container, "", {"s": {"k": "secret", "empty": ""}}
        )
        assert found == {"KEY": "secret", "NONE": ""}
        assert pods.engine_arguments(container, found, "/w", 7)[:3] == ["--api-key", "secret", ""]

    @pytest.mark.parametrize(
        ("secrets", "words"),
        [
            ({}, 'secret "s" not found'),
            ({"s": {"k": "secret"}}, "couldn't find key empty in Secret"),
            ({"other": {"k": "1", "empty": ""}}, 'secret "s" not found'),
        ],
    )
    def test_starts_nothing_without_one(
        self, secrets: dict[str, dict[str, str]], words: str
    ) -> None:
        with pytest.raises(ValueError, match=words):
            pods.environment(pods.read_pod(DOCUMENT), {"env": self.ENV}, "", secrets)

    def test_refuses_what_it_cannot_read(self) -> None:
        env = [{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}}]
        with pytest.raises(ValueError, match="KEY: only values"):
            pods.environment(pods.read_pod(DOCUMENT), {"env": env}, "")


class TestEngineArguments:
    @pytest.mark.parametrize(
        ("container", "expected"),
        [
            (
                {"args": ["--port=8080", "--model=/mnt/models", "--seed", "$(S)"]},
                ["--model=/w/1", "--seed", "7"],
            ),
            (
                {"command": ["vllm", "serve"], "args": ["/mnt/models", "--port", "8080"]},
                ["--model", "/w/1"],
            ),
            (
                {
                    "command": ["python3", "-m", "x"],
                    "args": ["--host", "elsewhere", "--model", "/mnt/models/sub"],
                },
                ["--model", "/w/1/sub"],
            ),
        ],
    )
    def test_fits_the_deployments_words_to_this_machine(
        self, container: dict[str, list[str]], expected: list[str]
    ) -> None:
        found = pods.engine_arguments(container, {"S": "7"}, "/w/1", 4321)
        assert found == [*expected, "--host=127.0.0.1", "--port=4321"]


class TestProbe:
    def test_fills_in_kubernetes_defaults(self) -> None:
        container = {
            "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 5}
        }
        assert pods.probe(container, "readinessProbe") == Probe("/health", 0, 5, 1, 3, 1)
        assert pods.probe(
            {"readinessProbe": {"tcpSocket": {"port": 1}}}, "readinessProbe"
        ) == Probe(None)

    def test_knows_no_commands_in_containers(self) -> None:
        assert pods.probe({"livenessProbe": {"exec": {"command": ["x"]}}}, "livenessProbe") is None
        assert pods.probe({}, "startupProbe") is None


class TestFreeAddress:
    def test_gives_each_pod_its_own(self) -> None:
        assert free_address(["10.231.0.1", "10.231.0.3"]) == "10.231.0.2"


class TestOrdered:
    @pytest.mark.parametrize(
        ("content", "service", "kinds", "fault"),
        [
            ('{"m-v1": "oom"}', "m-v1", FAULTS, "oom"),
            ('{"m-v1": "oom"}', "m-v2", FAULTS, ""),
            ('{"*": "image-pull"}', "m-v2", (IMAGE_PULL,), "image-pull"),
            ('{"*": "image-pull"}', "m-v2", OF_THE_ENGINE, ""),
            ('{"m-v1": "no such fault"}', "m-v1", FAULTS, ""),
            ("[]", "m-v1", FAULTS, ""),
            ("broken", "m-v1", FAULTS, ""),
        ],
    )
    def test_reads_what_the_file_orders(self, tmp_path, content, service, kinds, fault) -> None:  # type: ignore[no-untyped-def]
        file = tmp_path / "faults.json"
        assert ordered(file, service, kinds) == ""
        file.write_text(content)
        assert ordered(file, service, kinds) == fault
