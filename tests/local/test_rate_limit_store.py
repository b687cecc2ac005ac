"""The rate limit service's store over TLS, with a user of its own: the real service, and a real
Valkey behind a certificate that the tests make.
"""

import asyncio
import subprocess
import time

import httpx
import pytest
import redis
import yaml

from deploy.local.cluster.pki import Authority
from deploy.local.gateway import parts
from deploy.local.gateway.wiring import Wiring
from deploy.local.stack import probes, valkey
from deploy.local.stack.part import NotReady
from deploy.local.stack.ports import free_port
from tests.local.gateway_stand import ROOT, binaries
from tests.tls_front import Front, fronted

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(binaries() is None, reason="ratelimit and otelcol are not built yet"),
]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def store(tmp_path_factory, authority):
    """The port of a Valkey over TLS that knows the user `ratelimit` alone."""
    port = free_port()
    words = [str(valkey.program()), "--port", str(port), "--save", "", "--dir"]
    running = subprocess.Popen(
        [*words, str(tmp_path_factory.mktemp("valkey"))], stdout=subprocess.DEVNULL
    )

    async def real():
        return await asyncio.open_connection("127.0.0.1", port)

    try:
        eventually(lambda: probes.valkey(port))
        with redis.Redis(port=port) as admin:
            admin.execute_command("ACL SETUSER ratelimit on >first ~* +@all")
            admin.execute_command("ACL SETUSER default off")
        with fronted(Front(real, authority.server("store"))) as front:
            yield front.port
    finally:
        running.terminate()
        running.wait(10)


def eventually(does, seconds=10):
    until = time.monotonic() + seconds
    while True:
        try:
            return does()
        except (NotReady, OSError, httpx.HTTPError, AssertionError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


@pytest.fixture
def service(tmp_path):
    """Start the service on a store; return its process and the port of its health."""
    running = []

    def start(store, env):
        wiring = Wiring(tmp_path / "state", *(free_port() for _ in range(6)), portal_url="http://p")
        parts.prepare_rate_limit(ROOT, wiring)
        port = free_port()
        ours = parts.rate_limit_env(
            wiring, http_port=port, debug_port=free_port(), redis=f"localhost:{store}"
        )
        with (tmp_path / "log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [str(binaries() / "ratelimit")], env=ours | parts.store_login(env),
                    stdout=log, stderr=log,
                )
            )  # fmt: skip
        return running[-1], port

    yield start
    for process in running:
        process.kill()
        process.wait(10)


def environment(store, authority, password, tmp_path):
    (tmp_path / "password").write_text(f"{password}\n")
    url = f"rediss://ratelimit@localhost:{store}/0?cafile={authority.pair.certificate}"
    return {"REDIS_URL": url, "REDIS_PASSWORD_FILE": str(tmp_path / "password")}


class TestStore:
    def test_is_reached_over_tls_as_its_user(self, store, authority, service, tmp_path):
        process, port = service(store, environment(store, authority, "first", tmp_path))
        answer = eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/healthcheck"))
        assert (answer.status_code, process.poll()) == (200, None)

    def test_that_another_authority_signed_is_none(self, store, service, tmp_path):
        other = Authority(tmp_path)
        process, _ = service(store, environment(store, other, "first", tmp_path))
        assert process.wait(20) != 0
        assert b"certificate" in (tmp_path / "log").read_bytes()

    def test_that_refuses_the_password_is_none(self, store, authority, service, tmp_path):
        process, _ = service(store, environment(store, authority, "other", tmp_path))
        assert process.wait(20) != 0
        assert b"WRONGPASS" in (tmp_path / "log").read_bytes()


class TestOnEks:
    def test_the_store_is_asked_over_tls_and_its_login_stands_in_no_file_of_git(self):
        values = yaml.safe_load((ROOT / "deploy/envoy-gateway/values.yaml").read_text())
        found = values["config"]["envoyGateway"]
        assert found["rateLimit"]["backend"]["redis"]["tls"] == {}
        (env,) = found["provider"]["kubernetes"]["rateLimitDeployment"]["container"]["env"]
        assert env["name"] == "REDIS_AUTH"
        assert set(env["valueFrom"]) == {"secretKeyRef"}
