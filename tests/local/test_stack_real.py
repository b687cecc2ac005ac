"""The stack's own parts as `make up` runs them, beside whatever else runs on this machine. The
cluster is left out.
"""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request

import boto3
import psutil
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError

from deploy.local import platform
from deploy.local.stack import processes
from deploy.local.stack.sign_in import Refused
from deploy.local.stack.testing import Stack, running_stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]
BUCKET = "model-registry"


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Stack:
    if not (platform.binaries(os.environ) / "versitygw").exists():
        pytest.skip(
            "versitygw is not built yet: make up builds it, or QUARTERMASTER_BINARIES "
            "names a folder"
        )
    state = tmp_path_factory.mktemp("stack") / "state"
    # A named cluster and gateway replace ours: neither is started, and nothing here calls them.
    env = {"KUBECONFIG": str(state / "no-cluster"), "GATEWAY_URL": "http://127.0.0.1:9"}
    with running_stack(state, env=env) as stack:
        stack.wait_for("registry-bucket", "worker", "beat", "usage-follower")
        yield stack
    assert processes.marked(state) == []


def s3(stack: Stack, user: str):
    secret = (stack.state / "secrets" / f"s3-{user}").read_text()
    return boto3.client(
        "s3",
        endpoint_url=stack.part("versitygw")["address"],
        aws_access_key_id=f"qm{user}",
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}),
    )


def refused(call, **fields) -> str:
    """Return the error code of a call that must fail."""
    with pytest.raises(ClientError) as error:
        call(Bucket=BUCKET, **fields)
    return error.value.response["Error"]["Code"]


class TestStack:
    def test_answers_at_the_portal_and_listens_on_loopback_only(self, stack):
        with urllib.request.urlopen(f"{stack.portal}/healthz", timeout=5) as answer:
            assert answer.status == 200
        ports = set(json.loads((stack.state / "ports.json").read_text()).values())
        listening = {
            (connection.laddr.ip, connection.laddr.port)
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
        }
        assert listening and {ip for ip, _ in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}

    def test_does_not_start_what_was_replaced(self, stack):
        for name in ("etcd", "kube-apiserver", "kubelet", "envoy", "gate"):
            assert stack.part(name)["state"] == "replaced" and stack.part(name)["pid"] == 0

    def test_gives_tokens_to_curl(self, stack):
        token = stack.token("maya")
        request = urllib.request.Request(
            f"{stack.issuer}/userinfo", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert json.load(answer)["team"] == "claims-review"
        with pytest.raises(Refused, match="several teams"):
            stack.token("liam")

    def test_takes_its_own_programs_on_no_port_of_another_stack(self, stack):
        ports = json.loads((stack.state / "ports.json").read_text())
        assert not {8000, 8090, 8080, 15432, 16379, 17070} & set(ports.values())

    def test_brings_a_killed_database_back_and_the_portal_recovers(self, stack):
        os.kill(stack.part("postgres")["pid"], signal.SIGKILL)
        until = time.monotonic() + 60
        while not (stack.part("postgres")["restarts"] and self.healthy(stack)):
            assert time.monotonic() < until, stack.part("postgres")
            time.sleep(0.2)

    def healthy(self, stack: Stack) -> bool:
        try:
            with urllib.request.urlopen(f"{stack.portal}/healthz", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


class TestRegistryBucket:
    def test_has_object_lock_and_versioning(self, stack):
        client = s3(stack, "portal")
        lock = client.get_object_lock_configuration(Bucket=BUCKET)["ObjectLockConfiguration"]
        assert lock["ObjectLockEnabled"] == "Enabled"
        assert client.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"

    def test_the_portal_publishes_once_and_the_kubelet_only_reads(self, stack):
        portal, kubelet = s3(stack, "portal"), s3(stack, "kubelet")
        portal.put_object(Bucket=BUCKET, Key="m/v1/config.json", Body=b"{}", IfNoneMatch="*")
        assert (
            refused(portal.put_object, Key="m/v1/config.json", Body=b"x", IfNoneMatch="*")
            == "PreconditionFailed"
        )
        assert kubelet.get_object(Bucket=BUCKET, Key="m/v1/config.json")["Body"].read() == b"{}"
        assert kubelet.list_objects_v2(Bucket=BUCKET, Prefix="m/v1/")["KeyCount"] == 1
        assert refused(kubelet.put_object, Key="m/v1/evil", Body=b"x") == "AccessDenied"
        assert refused(kubelet.delete_object, Key="m/v1/config.json") == "AccessDenied"

    def test_nobody_but_the_servers_owner_changes_the_bucket(self, stack):
        for user in ("portal", "kubelet"):
            client = s3(stack, user)
            assert refused(client.delete_bucket) == "AccessDenied"
            assert refused(client.put_bucket_policy, Policy="{}") == "AccessDenied"
            with pytest.raises(ClientError):
                client.create_bucket(Bucket=f"of-{user}")
