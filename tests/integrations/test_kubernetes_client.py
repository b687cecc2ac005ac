"""The cluster reader against a small HTTP server that answers as the API server does."""

import json
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.kubernetes.client import KubernetesReader, client_from_settings
from apps.integrations.kubernetes.config import Target, configuration
from apps.integrations.kubernetes.connection import Connection, connection_from_kubeconfig
from apps.integrations.kubernetes.credentials import fixed
from apps.integrations.kubernetes.types import Kind, Loaded
from tests.integrations.api_double import ApiDouble, listed, refuse

T = "2026-11-02T09:00:{:02d}Z"


def at(second):
    return datetime(2026, 11, 2, 9, 0, second, tzinfo=UTC)


def condition(kind, second, status="True", **more):
    return {"type": kind, "status": status, "lastTransitionTime": T.format(second), **more}


DIGEST = "sha256:" + "a" * 64
ISVC = {
    "metadata": {
        "name": "m-v1",
        "creationTimestamp": T.format(1),
        "annotations": {"quartermaster.dev/manifest-digest": "sha256:aa"},
    },
    "status": {
        "conditions": [condition("Ready", 30)],
        "modelStatus": {"transitionStatus": "UpToDate"},
    },
}
POD = {
    "metadata": {
        "name": "m-v1-predictor-x",
        "creationTimestamp": T.format(2),
        "annotations": {
            "quartermaster.dev/manifest-digest": "sha256:aa",
            "quartermaster.dev/engine": "stand-in",
            "quartermaster.dev/listen": "127.0.0.1:1234",
        },
    },
    "spec": {"nodeName": "node-1"},
    "status": {
        "phase": "Running",
        "conditions": [
            condition("PodScheduled", 10),
            condition("Initialized", 20),
            condition("Ready", 29),
        ],
        "initContainerStatuses": [
            {
                "name": "storage-initializer",
                "state": {
                    "terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": T.format(20)}
                },
            }
        ],
        "containerStatuses": [
            {
                "name": "kserve-container",
                "ready": True,
                "state": {"running": {"startedAt": T.format(21)}},
            }
        ],
    },
}
CLAIM = {
    "metadata": {
        "name": "gpu-inference-abcde",
        "creationTimestamp": T.format(3),
        "labels": {
            "node.kubernetes.io/instance-type": "g6.xlarge",
            "karpenter.sh/capacity-type": "spot",
            "topology.kubernetes.io/zone": "us-east-1a",
        },
    },
    "status": {
        "nodeName": "node-1",
        "conditions": [
            condition("Launched", 4),
            condition("Registered", 9),
            condition("Initialized", 9, "Unknown"),
        ],
    },
}


def pod_with(message, state=None, image_id=f"docker.io/vllm/vllm-openai@{DIGEST}"):
    """Return the pod with what its loader left, and with an engine as the node tells it."""
    ended = state or {"terminated": {"exitCode": 0, "message": message}}
    engine = {
        "name": "kserve-container", "image": f"vllm@{DIGEST}", "command": ["python3", "-m", "x"],
        "args": ["--seed=1"],
    }  # fmt: skip
    status = POD["status"] | {
        "initContainerStatuses": [{"name": "storage-initializer", "state": ended}],
        "containerStatuses": [POD["status"]["containerStatuses"][0] | {"imageID": image_id}],
    }
    spec = POD["spec"] | {"containers": [{"name": "sidecar"}, engine]}
    return POD | {"spec": spec, "status": status}


class ApiServer:
    """Answers from `objects`: path → body or status. `seen` keeps the requests."""

    def __init__(self):
        self.objects, self.seen = {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                outer.seen.append((parts.path, parse_qs(parts.query), dict(self.headers)))
                answer = outer.objects.get(parts.path, 404)
                status = answer if isinstance(answer, int) else 200
                body = json.dumps({"message": "no"} if isinstance(answer, int) else answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


@pytest.fixture
def api():
    server = ApiServer()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def double():
    found = ApiDouble()
    yield found
    found.close()


@pytest.fixture
def calm(monkeypatch):
    """Sleep for nothing between tries; return how long it would have been."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def public(kind):
    return {name for name in vars(kind) if not name.startswith("_")}


def answer(handler, status, body, **headers):
    handler.send_response(status)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def cut_short(handler):
    """Promise more than comes."""
    answer(handler, 200, b'{"items": [', Content_Length="1000")
    handler.close_connection = True


def no_json(handler):
    answer(handler, 200, b"<html>")


def late(handler):
    threading.Event().wait(0.3)
    with suppress(OSError):  # nobody waits any more
        answer(handler, 200, b'{"items": []}')


def elsewhere(address):
    return lambda handler: answer(handler, 302, b"", Location=f"{address}/api/v1/pods")


def connected(address, token="", **more):
    return Connection(Target(configuration(address), credentials=fixed(token)), **more)


@pytest.fixture
def reader(api):
    connection = connected(api.address, "t0ken")
    yield KubernetesReader(lambda: connection)
    connection.close()


def serve(api, *, service=ISVC, pods=(POD,), claims=(CLAIM,), events=()):
    api.objects[Kind.INFERENCE_SERVICE.path("models", "m-v1")] = service
    api.objects[Kind.POD.path("models")] = {"items": list(pods)}
    api.objects[Kind.NODE_CLAIM.path()] = {"items": list(claims)}
    api.objects[Kind.EVENT.path("models")] = {"items": list(events)}


class TestServingStatus:
    def test_reads_service_pod_and_node_with_their_own_times(self, api, reader):
        serve(api)
        status = reader.serving_status("m-v1", "models")
        assert (status.exists, status.ready, status.ready_at) == (True, True, at(30))
        pod = status.pod
        assert (pod.at("PodScheduled"), pod.initializer.finished_at) == (at(10), at(20))
        assert (pod.engine, pod.listen, pod.manifest_digest) == (
            "stand-in",
            "127.0.0.1:1234",
            "sha256:aa",
        )
        assert pod.engine_container.started_at == at(21)
        claim = status.node_claim
        assert (claim.instance_type, claim.capacity_type, claim.zone) == (
            "g6.xlarge",
            "spot",
            "us-east-1a",
        )
        assert (claim.launched_at, claim.registered_at, claim.initialized_at) == (
            at(4),
            at(9),
            None,
        )
        path, query, headers = next(item for item in api.seen if item[0].endswith("/pods"))
        assert query == {"labelSelector": ["serving.kserve.io/inferenceservice=m-v1"]}
        assert headers["Authorization"] == "Bearer t0ken"

    def test_reads_what_the_loader_measured_and_what_runs(self, api, reader):
        said = {
            "digest": DIGEST,
            "files": 5,
            "bytes": 900,
            "seconds": 1.5,
            "signer": "Registry key",
        }
        serve(api, pods=[pod_with(json.dumps(said))])
        pod = reader.replicas_status("m-v1", "models").pod
        assert pod.loaded == Loaded(DIGEST, 5, 900, 1.5, "Registry key")
        assert (pod.image, pod.image_digest) == (f"vllm@{DIGEST}", DIGEST)
        assert pod.arguments == ("python3", "-m", "x", "--seed=1")

    @pytest.mark.parametrize(
        "message",
        ["", "done", "5", "null", "[]", "{}", '{"digest": "sha256:aa"}', '{"digest": 5}',
         json.dumps({"digest": "sha256:" + "a" * 64, "files": "many"})],
    )  # fmt: skip
    def test_takes_no_other_word_of_a_loader_for_a_measurement(self, api, reader, message):
        serve(api, pods=[pod_with(message)])
        assert reader.replicas_status("m-v1", "models").pod.loaded is None

    def test_takes_none_of_a_loader_that_failed_or_still_runs(self, api, reader):
        said = json.dumps({"digest": DIGEST})
        for state in (
            {"terminated": {"exitCode": 1, "message": said}},
            {"running": {"startedAt": T.format(1)}, "message": said},
        ):
            serve(api, pods=[pod_with(said, state)])
            assert reader.replicas_status("m-v1", "models").pod.loaded is None

    @pytest.mark.parametrize(
        ("image", "engine"),
        [
            ("vllm/vllm-openai:v0.32.0", "vllm-openai v0.32.0"),
            (f"registry.example:5000/mirror/vllm-openai:v0.32.0@{DIGEST}", "vllm-openai v0.32.0"),
            (
                f"111122223333.dkr.ecr.us-east-1.amazonaws.com/sglang@{DIGEST}",
                f"sglang {DIGEST[:19]}",
            ),
            ("engine", "engine"),
            ("", ""),
        ],
    )
    def test_names_the_engine_by_the_image_that_runs(self, api, reader, image, engine):
        pod = pod_with("")
        pod["metadata"] = pod["metadata"] | {"annotations": {}}
        pod["spec"]["containers"][1]["image"] = image
        serve(api, pods=[pod])
        assert reader.replicas_status("m-v1", "models").pod.engine == engine
        waits = {"name": "kserve-container", "state": {"waiting": {"reason": "PodInitializing"}}}
        pod["status"]["containerStatuses"] = [waits]
        assert reader.replicas_status("m-v1", "models").pod.engine == ""

    @pytest.mark.parametrize(
        "image_id", ["", DIGEST, "not-pulled://vllm:1", f"vllm@{DIGEST}0", None]
    )
    def test_reads_no_digest_out_of_what_is_not_that_of_an_image(self, api, reader, image_id):
        serve(api, pods=[pod_with("", image_id=image_id)])
        assert reader.replicas_status("m-v1", "models").pod.image_digest == ""

    def test_says_why_a_pod_waits_and_which_node_it_was_promised(self, api, reader):
        waiting = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}}
        note = {
            "reason": "Nominated",
            "message": "Pod should schedule on: nodeclaim/gpu-inference-abcde",
        }
        short = {"type": "Warning", "reason": "FailedScheduling", "message": "no offering"}
        serve(api, pods=[waiting], events=[note, short], service=ISVC | {"status": {}})
        status = reader.serving_status("m-v1", "models")
        assert not status.ready
        assert status.node_claim.name == "gpu-inference-abcde"
        assert {item.reason for item in status.events} == {"Nominated", "FailedScheduling"}

    def test_says_what_happened_to_the_node_it_was_on(self, api, reader):
        waiting = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}}
        serve(api, pods=[waiting], claims=(), service=ISVC | {"status": {}})
        gone = {"reason": "SpotInterrupted", "message": "Spot interruption warning was triggered"}
        api.objects[Kind.EVENT.path("default")] = {"items": [gone]}
        status = reader.serving_status("m-v1", "models", {"gpu-inference-before"})
        assert [note.reason for note in status.node_events] == ["SpotInterrupted"]
        asked = [query for path, query, _ in api.seen if path == Kind.EVENT.path("default")]
        assert asked == [{"fieldSelector": ["involvedObject.name=gpu-inference-before"]}]

    def test_says_what_happened_to_a_claim_that_was_promised_and_is_gone(self, api, reader):
        waiting = {"metadata": {"name": "p"}, "spec": {}, "status": {"phase": "Pending"}}
        note = {
            "reason": "Nominated",
            "message": "Pod should schedule on: nodeclaim/gpu-inference-gone",
        }
        serve(api, pods=[waiting], claims=(), events=[note], service=ISVC | {"status": {}})
        about = {"involvedObject": {"name": "gpu-inference-gone"}}
        api.objects[Kind.EVENT.path("default")] = {
            "items": [{"reason": "InsufficientCapacityError"} | about]
        }
        status = reader.serving_status("m-v1", "models")
        assert status.node_claim is None
        assert [(note.reason, note.about) for note in status.node_events] == [
            ("InsufficientCapacityError", "gpu-inference-gone")
        ]

    def test_says_what_happens_to_the_node_under_a_pod_that_goes_away(self, api, reader):
        going = POD | {"metadata": POD["metadata"] | {"deletionTimestamp": T.format(51)}}
        serve(api, pods=[going], service=ISVC | {"status": {}})
        api.objects[Kind.EVENT.path("default")] = {"items": [{"reason": "SpotInterrupted"}]}
        assert [note.reason for note in reader.serving_status("m-v1", "models").node_events] == [
            "SpotInterrupted"
        ]

    def test_counts_the_pods_that_are_ready_and_asks_no_events_then(self, api, reader):
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": T.format(30)}
        pod = POD | {
            "status": POD["status"] | {"conditions": [*POD["status"]["conditions"], ready]}
        }
        serve(api, pods=[pod])
        status = reader.serving_status("m-v1", "models", {"gpu-inference-before"})
        assert (status.ready_pods, status.node_events) == (1, ())
        assert not [path for path, _, _ in api.seen if path.endswith("/events")]

    def test_of_the_replicas_alone_takes_two_reads(self, api, reader):
        serve(api)
        status, found = reader.serving_status("m-v1", "models"), len(api.seen)
        alone = reader.replicas_status("m-v1", "models")
        assert len(api.seen) - found == 2
        assert (alone.ready, alone.manifest_digest, alone.pods) == (
            True,
            status.manifest_digest,
            status.pods,
        )
        assert not reader.replicas_status("other", "models").exists

    def test_tells_why_a_load_failed(self, api, reader):
        failed = {
            "transitionStatus": "BlockedByFailedLoad",
            "lastFailureInfo": {
                "reason": "ModelLoadFailed",
                "message": "model.safetensors: digest differs",
            },
        }
        serve(api, service=ISVC | {"status": {"modelStatus": failed}})
        status = reader.serving_status("m-v1", "models")
        assert (status.reason, status.message) == (
            "ModelLoadFailed",
            "model.safetensors: digest differs",
        )

    def test_nothing_there_is_an_answer(self, reader):
        status = reader.serving_status("m-v1", "models")
        assert not status.exists
        assert status.pod is None

    def test_ignores_pods_that_go_away_for_the_newest(self, api, reader):
        going = POD | {
            "metadata": {
                "name": "z",
                "creationTimestamp": T.format(50),
                "deletionTimestamp": T.format(51),
            }
        }
        serve(api, pods=[going, POD])
        status = reader.serving_status("m-v1", "models")
        assert len(status.pods) == 2
        assert status.pod.name == "m-v1-predictor-x"


class TestApplicationStatus:
    def test_reads_sync_revision_resources_and_errors(self, api, reader):
        found = api.objects[Kind.APPLICATION.path("argocd", "serving")] = {
            "status": {
                "sync": {"status": "OutOfSync", "revision": "abc"},
                "operationState": {
                    "phase": "Failed",
                    "message": "one or more objects failed to apply",
                    "finishedAt": T.format(5),
                    "syncResult": {
                        "revision": "abc",
                        "resources": [
                            {
                                "kind": "AIGatewayRoute",
                                "namespace": "models",
                                "name": "m",
                                "status": "SyncFailed",
                                "message": "denied",
                            }
                        ],
                    },
                },
                "resources": [
                    {
                        "kind": "AIGatewayRoute",
                        "namespace": "models",
                        "name": "m",
                        "status": "OutOfSync",
                    }
                ],
                "conditions": [
                    {"type": "SyncError", "message": "failed"},
                    {"type": "OrphanedResourceWarning"},
                ],
            }
        }
        status = reader.application_status("serving", "argocd")
        assert (status.sync, status.revision, status.operation_revision) == (
            "OutOfSync",
            "abc",
            "abc",
        )
        assert status.resource("AIGatewayRoute", "m", "models").message == "denied"
        assert [item.type for item in status.errors] == ["SyncError"]
        assert (status.gave_up, status.is_settled) == (True, False)
        # Tried again, it succeeded: what it said of an object before counts no more.
        found["status"] |= {"reconciledAt": T.format(5)}
        found["status"]["operationState"] |= {"phase": "Succeeded"}
        status = reader.application_status("serving", "argocd")
        assert status.resource("AIGatewayRoute", "m", "models").message == ""
        assert (status.gave_up, status.is_settled) == (False, True)
        assert not reader.application_status("other", "argocd").exists

    def test_reads_whom_the_api_server_refused_on_trial(self, api, reader):
        """As Argo CD 3 says it where an update is refused: nothing is tried then, and one refusal
        stops all of it.
        """
        said = (
            "Failed to compare desired state to live state: failed to calculate diff: error "
            "calculating server side "
            "diff: serverSideDiff error: error running server side apply in dryrun mode for "
            "resource NodePool/gpu: "
            'nodepools.karpenter.sh "gpu" is forbidden: denied request: No changes on Monday'
        )
        status = api.objects[Kind.APPLICATION.path("argocd", "capacity")] = {
            "status": {
                "sync": {"status": "Unknown", "revision": "abc"},
                "operationState": {"phase": "Succeeded", "syncResult": {"revision": "old"}},
                "resources": [
                    {"kind": "NodePool", "name": name, "status": "Synced"}
                    for name in ("gpu", "other")
                ],
                "conditions": [{"type": "ComparisonError", "message": said}],
            }
        }
        found = reader.application_status("capacity", "argocd")
        refused = 'nodepools.karpenter.sh "gpu" is forbidden: denied request: No changes on Monday'
        assert [item.message for item in found.resources] == [refused, ""]
        assert (found.errors, found.gave_up, found.is_at_rest) == ((), False, True)
        status["status"]["sync"] = {"status": "OutOfSync", "revision": "abc"}
        assert not reader.application_status("capacity", "argocd").is_at_rest, (
            "it is about to apply it"
        )


class TestRouteStatus:
    def test_reads_weights_and_acceptance(self, api, reader):
        api.objects[Kind.AI_GATEWAY_ROUTE.path("models", "m")] = {
            "spec": {
                "rules": [
                    {
                        "backendRefs": [
                            {"name": "m-v2", "weight": 100},
                            {"name": "m-v1", "weight": 0},
                        ]
                    }
                ]
            },
            "status": {"conditions": [condition("Accepted", 7)]},
        }
        status = reader.route_status("m", "models")
        assert status.weights == {"m-v2": 100, "m-v1": 0}
        assert status.accepted.is_true
        assert not reader.route_status("n", "models").exists

    def test_reads_the_rule_that_sends_callers_elsewhere(self, api, reader):
        def rule(**weights):
            refs = [{"name": name, "weight": weight} for name, weight in weights.items()]
            return {"backendRefs": refs}

        for rules, weights in (
            ([rule(a=90, b=10), rule(a=90, b=10)], {"a": 90, "b": 10}),
            ([rule(a=90, b=10), rule(a=90, b=10), rule(a=100, b=0)], {"a": 100, "b": 0}),
        ):
            path = Kind.AI_GATEWAY_ROUTE.path("models", "m")
            api.objects[path] = {"spec": {"rules": rules}}
            assert reader.route_status("m", "models").weights == weights


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "words"), [(403, "rbac.yaml"), (401, "renew"), (503, "busy"), (429, "busy")]
    )
    def test_says_it_in_words_and_tries_again_later(self, api, reader, status, words):
        api.objects[Kind.POD.path("models")] = status
        with pytest.raises(TemporaryError, match=words):
            reader.list(Kind.POD, "models")

    def test_tries_a_call_again_that_got_no_good_answer(self, double, calm):
        double.answers = [refuse(503), cut_short, listed(7, {"metadata": {"name": "a"}})]
        found = KubernetesReader(double.connection).list(Kind.POD, "models")
        assert [item["metadata"]["name"] for item in found] == ["a"]
        assert len(double.asked) == 3
        first, second = calm
        assert 0.1 <= first < 0.2 <= second < 0.4

    def test_gives_up_after_three_tries(self, double, calm):
        double.answers = [refuse(503)] * 5
        with pytest.raises(TemporaryError, match="busy"):
            KubernetesReader(double.connection).list(Kind.POD, "models")
        assert len(double.asked) == 3

    def test_waits_no_longer_here_than_a_server_asks_for(self, double, calm):
        double.answers = [refuse(429, retry_after=3600)]
        with pytest.raises(TemporaryError) as error:
            KubernetesReader(double.connection).list(Kind.POD, "models")
        assert (error.value.retry_after, len(double.asked), calm) == (3600, 1, [])

    def test_waits_for_an_answer_no_longer_than_it_may(self, double, calm):
        double.answers = [late] * 3
        hasty = connected(double.address, timeout=0.05)
        with pytest.raises(TemporaryError, match="did not answer in time"):
            KubernetesReader(lambda: hasty).list(Kind.POD, "models")
        hasty.close()

    def test_follows_nobody_to_another_address(self, double, calm, api):
        double.answers = [elsewhere(api.address)]
        with pytest.raises(PermanentError, match=r"refused \(302\)"):
            KubernetesReader(double.connection).list(Kind.POD, "models")
        assert api.seen == []

    def test_an_answer_that_is_not_json_is_an_error_in_words(self, double):
        double.answers = [no_json]
        with pytest.raises(PermanentError, match="not JSON"):
            KubernetesReader(double.connection).get(Kind.POD, "p", "models")

    def test_a_cluster_that_is_away_is_temporary(self):
        with pytest.raises(TemporaryError, match="cannot be reached"):
            away = connected("http://127.0.0.1:1")
            KubernetesReader(lambda: away).list(Kind.POD)

    def test_has_no_way_to_write(self):
        assert public(Connection) == {"json", "text", "changes", "close"}
        assert public(KubernetesReader) == {
            "get",
            "list",
            "logs",
            "application_status",
            "route_status",
            "serving_status",
            "replicas_status",
        }


class TestKubeconfig:
    def test_reads_server_and_token(self, api, tmp_path):
        path = tmp_path / "config"
        path.write_text(
            json.dumps(
                {
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                    "clusters": [{"name": "k", "cluster": {"server": api.address}}],
                    "users": [{"name": "u", "user": {"token": "from-file"}}],
                }
            )
        )
        connection = connection_from_kubeconfig(path)
        KubernetesReader(lambda: connection).get(Kind.POD, "p", "models")
        assert api.seen[0][2]["Authorization"] == "Bearer from-file"
        connection.close()

    def test_a_missing_file_is_temporary(self):
        with pytest.raises(TemporaryError, match="KUBECONFIG"):
            connection_from_kubeconfig(Path("/nowhere/config"))

    def test_several_files_are_refused_in_words(self, settings):
        settings.KUBECONFIG = "/nowhere/a:/nowhere/b"
        with pytest.raises(TemporaryError, match="takes one"):
            client_from_settings().list(Kind.POD)

    def test_a_cluster_that_is_not_there_yet_is_an_error_of_the_read(self, settings):
        settings.KUBECONFIG = "/nowhere/config"
        reader = client_from_settings()
        with pytest.raises(TemporaryError, match="not there yet"):
            reader.list(Kind.POD)
