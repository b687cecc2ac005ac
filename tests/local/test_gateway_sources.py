"""Following a cluster: an API server that lists, watches and forgets, over TLS with a client
certificate.
"""

import asyncio
import base64
import contextlib
import gc
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
import yaml

from deploy.local.gateway import sources
from deploy.local.gateway.compile import compile_gateway
from deploy.local.gateway.objects import KINDS, read_folder
from deploy.local.gateway.verdicts import status_of
from tests.local.gateway_objects import policy, route, version
from tests.local.gateway_stand import ROOT

GATEWAY = ("ai-gateway", "ai-gateway")
# A connection that a test cuts off while it is made is closed when its memory is freed, no sooner.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


class ApiServer:
    """Holds lists by path; watches send what is put into their queue."""

    def __init__(self):
        self.lists = {kind.list_path: [] for kind in KINDS.values()}
        self.missing = set()
        self.events = {}
        self.asked = []
        self.statuses = {}
        self.gone = set()
        self.changed = threading.Condition()

    def send(self, kind, what, obj):
        """Send one event to the kind's watches."""
        with self.changed:
            self.events.setdefault(KINDS[kind].list_path, []).append({"type": what, "object": obj})
            self.changed.notify_all()


class Handler(BaseHTTPRequestHandler):
    """Speaks for the ApiServer that its server carries as `api`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        api = self.server.api
        api.asked.append((url.path, query, self.headers.get("accept")))
        if url.path in api.missing:
            return self._json(404, {})
        if "watch" in query:
            return self._watch(api, url.path)
        items = api.lists.get(url.path) or None  # an empty list of metadata comes as null
        return self._json(200, {"metadata": {"resourceVersion": "1"}, "items": items})

    def do_PATCH(self):  # noqa: N802
        raw = self.rfile.read(int(self.headers["content-length"]))
        self.server.api.statuses[self.path] = json.loads(raw)["status"]
        self._json(200, {})

    def _json(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def _watch(self, api, path):
        if path in api.gone:
            api.gone.discard(path)
            return self._json(410, {})
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        with api.changed:
            api.changed.wait_for(lambda: api.events.get(path), 5)
            for event in api.events.pop(path, []):
                self.wfile.write(json.dumps(event).encode() + b"\n")
        return None

    def log_message(self, *_):
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


@pytest.fixture
def api(tmp_path):
    """A running API server and a kubeconfig for it."""
    authority, server = trustme.CA(), ApiServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    running = _Quiet(("127.0.0.1", 0), Handler)
    running.api = server
    # each thread shakes hands itself: a client that leaves meanwhile must not hold up the server
    running.socket = context.wrap_socket(
        running.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(
        target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    server.kubeconfig = tmp_path / "gateway"
    server.kubeconfig.write_text(_kubeconfig(authority, running.server_port))
    yield server
    running.shutdown()
    running.server_close()
    gc.collect()  # what was cut off goes now, and not in another test


def _kubeconfig(authority, port):
    client = authority.issue_cert("gateway@test")

    def data(pem):
        return base64.b64encode(pem).decode()

    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": data(authority.cert_pem.bytes()),
    }
    user = {
        "client-certificate-data": data(client.cert_chain_pems[0].bytes()),
        "client-key-data": data(client.private_key_pem.bytes()),
    }
    return yaml.safe_dump(
        {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
    )


async def until(check):
    """Wait until check is true."""
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def following(kubeconfig):
    """Follow a cluster."""
    source = sources.ClusterSource(kubeconfig)
    running = asyncio.create_task(source.run(lambda: None))
    try:
        yield source
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        if source._client:
            await source._client.aclose()


def named(name, version="2", **spec):
    """A small object."""
    return {
        "metadata": {"name": name, "namespace": "models", "resourceVersion": version},
        "spec": spec,
    }


class TestClusterSource:
    def test_lists_then_follows(self, api):
        api.lists[KINDS["Backend"].list_path] = [named("a")]

        async def scenario():
            async with following(api.kubeconfig) as source:
                await until(lambda: source.complete)
                assert source.objects.get("Backend", "models", "a")["kind"] == "Backend"
                api.send("Backend", "ADDED", named("b", "3"))
                await until(lambda: source.objects.get("Backend", "models", "b"))
                api.send("Backend", "DELETED", named("a", "4"))
                await until(lambda: not source.objects.get("Backend", "models", "a"))

        asyncio.run(scenario())

    @pytest.mark.parametrize("how", ["answer", "event"])
    def test_begins_again_when_its_place_is_forgotten(self, api, how):
        path = KINDS["Backend"].list_path
        api.lists[path] = [named("a")]

        async def scenario():
            async with following(api.kubeconfig) as source:
                await until(lambda: source.complete)
                api.lists[path] = [named("c")]
                if how == "answer":
                    api.gone.add(path)
                    api.send("Backend", "ADDED", named("b", "3"))  # ends the watch that runs
                else:
                    api.send("Backend", "ERROR", {"code": 410})
                await until(lambda: source.objects.get("Backend", "models", "c"))
                assert source.objects.get("Backend", "models", "a") is None

        asyncio.run(scenario())

    def test_is_complete_without_kinds_that_are_not_installed(self, api, monkeypatch):
        monkeypatch.setattr(sources, "RETRY_SECONDS", (0.05,))
        path = KINDS["AIGatewayRoute"].list_path
        api.missing.add(path)

        async def scenario():
            async with following(api.kubeconfig) as source:
                await until(lambda: source.complete)
                api.lists[path] = [named("later")]
                api.missing.clear()
                await until(lambda: source.objects.get("AIGatewayRoute", "models", "later"))

        asyncio.run(scenario())

    def test_asks_for_little_of_pods(self, api):
        async def scenario():
            async with following(api.kubeconfig) as source:
                await until(lambda: source.complete)

        asyncio.run(scenario())
        path, query, accept = next(entry for entry in api.asked if entry[0] == "/api/v1/pods")
        assert query["labelSelector"] == ["serving.kserve.io/inferenceservice"]
        assert "PartialObjectMetadata" in accept

    def test_waits_for_a_kubeconfig_that_is_not_there_yet(self, api, tmp_path):
        later = tmp_path / "later"

        async def scenario():
            async with following(later) as source:
                await until(lambda: "waiting" in source.state and "FileNotFound" in source.state)
                assert not source.complete
                later.write_text(api.kubeconfig.read_text())
                await until(lambda: source.complete)

        asyncio.run(scenario())

    def test_writes_a_status_once(self, api):
        objects = [
            *read_folder(ROOT / "deploy" / "gateway"),
            route("m", {"m-v1": 1}),
            *version("m-v1"),
        ]
        objects += policy("m", {"a": 1})
        for obj in objects:
            obj["metadata"].setdefault("resourceVersion", "2")
            api.lists[KINDS[obj["kind"]].list_path].append(obj)

        async def scenario():
            async with following(api.kubeconfig) as source:
                await until(lambda: source.complete)
                await source.report(compile_gateway(source.objects, gateway=GATEWAY).verdicts)
                wrote = dict(api.statuses)
                for path, status in wrote.items():
                    kind = next(k for k in KINDS.values() if f"/{k.plural}/" in path)
                    name, namespace = (
                        path.split("/")[-2],
                        path.split("/namespaces/")[-1].split("/")[0],
                    )
                    obj = source.objects.get(
                        kind.name, "" if "/namespaces/" not in path else namespace, name
                    )
                    obj["status"] = status
                api.statuses.clear()
                await source.report(compile_gateway(source.objects, gateway=GATEWAY).verdicts)
                return wrote

        wrote = asyncio.run(scenario())
        assert api.statuses == {}
        assert "/apis/gateway.networking.k8s.io/v1/gatewayclasses/envoy/status" in wrote
        (condition,) = wrote[
            "/apis/aigateway.envoyproxy.io/v1beta1/namespaces/models/aigatewayroutes/m/status"
        ]["conditions"]
        assert (condition["type"], condition["status"]) == ("Accepted", "True")
        policies = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/models"
        (ancestor,) = wrote[f"{policies}/backendtrafficpolicies/m/status"]["ancestors"]
        assert ancestor["ancestorRef"]["name"] == "ai-gateway"
        assert ancestor["conditions"][0]["type"] == "Accepted"


class TestStatus:
    def test_keeps_its_time_while_it_says_the_same(self):
        from deploy.local.gateway.tables import Verdict

        verdict = Verdict("Backend", "models", "b", 3, True, "", "")
        first = status_of(verdict, {"status": {}})
        first["conditions"][0]["lastTransitionTime"] = "2020-01-01T00:00:00Z"
        assert status_of(verdict, {"status": first}) == first
        refused = Verdict("Backend", "models", "b", 3, False, "Invalid", "no")
        changed = status_of(refused, {"status": first})["conditions"][0]
        assert (changed["status"], changed["reason"], changed["message"]) == (
            "False",
            "Invalid",
            "no",
        )
        assert changed["lastTransitionTime"] > "2020-01-01T00:00:00Z"

    def test_leaves_other_controllers_entries_alone(self):
        from deploy.local.gateway.tables import Verdict

        other = {"controllerName": "x", "ancestorRef": {"name": "y"}, "conditions": []}
        verdict = Verdict("SecurityPolicy", "models", "b", 3, True, "", "", GATEWAY)
        found = status_of(verdict, {"status": {"ancestors": [other]}})["ancestors"]
        assert [entry["controllerName"] for entry in found] == [
            "x",
            "gateway.envoyproxy.io/gatewayclass-controller",
        ]
