"""The cluster's parts as the supervisor sees them, and KServe's objects."""

import base64
import re

import pytest
import yaml

from apps.common.model_manifest import trusted_keys
from apps.common.signing import FileSigner
from deploy.local.cluster import (
    api,
    control_plane,
    keda,
    kserve,
    kubeconfigs,
    layout,
    nodes,
    probes,
)
from deploy.local.cluster.parts import parts
from deploy.local.stack import credentials
from deploy.local.stack.part import NotReady
from tests.local.cluster_context import cluster_context

LISTENING = re.compile(r"--(listen|bind|address|server-address|metrics-a|health-probe-a)")


@pytest.fixture
def found(tmp_path):
    return {part.name: part for part in parts(cluster_context(tmp_path))}


class TestParts:
    def test_are_those_of_the_cluster(self, found):
        assert list(found) == [
            "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok",
            "karpenter", "kserve",
            "argocd-repo-server", "argocd-application-controller", "keda", "keda-adapter",
        ]  # fmt: skip

    def test_need_only_parts_that_exist(self, found):
        for part in found.values():
            assert set(part.needs) <= {*found, "valkey", "vault-keys"}

    def test_are_left_out_when_a_real_cluster_is_given(self, found):
        assert {part.replaced_by for part in found.values()} == {"KUBECONFIG"}

    def test_listen_on_loopback_wherever_a_flag_says_where(self, found):
        for part in found.values():
            for flag in part.command:
                if LISTENING.match(flag):
                    assert "127.0.0.1" in flag, flag

    def test_have_a_port_of_their_own_each(self):
        assert len(set(layout.PORTS.values())) == len(layout.PORTS)

    def test_say_what_did_not_answer(self):
        with pytest.raises(NotReady, match="127.0.0.1:1/readyz does not answer"):
            probes.answers_ok("127.0.0.1:1", "/readyz")()


class TestApiServer:
    def test_knows_nobody_without_a_certificate(self, found):
        assert "--anonymous-auth=false" in found["kube-apiserver"].command
        assert "--authorization-mode=RBAC" in found["kube-apiserver"].command

    def test_is_etcds_only_client(self, found):
        assert "--client-cert-auth" in found["etcd"].command


class TestControllers:
    def test_are_those_that_serving_needs(self):
        assert {
            "deployment-controller",
            "replicaset-controller",
            "garbage-collector-controller",
        } <= set(control_plane.CONTROLLERS)


class TestKwokConfiguration:
    def test_leaves_pods_to_the_kubelet(self):
        documents = list(yaml.safe_load_all(nodes.kwok_configuration(19003)))
        assert [document["kind"] for document in documents] == ["KwokConfiguration", "Stage"]
        assert documents[1]["spec"]["resourceRef"]["kind"] == "Node"

    def test_gives_a_node_its_address_each_time_it_comes_back(self):
        stage = list(yaml.safe_load_all(nodes.kwok_configuration(19003)))[1]
        template = stage["spec"]["next"]["statusTemplate"]
        assert "address: {{ NodeIP | Quote }}" in template
        assert "{{ if" not in template


class TestKServe:
    shipped = {
        "data": {
            "_example": "long",
            "deploy": '{"defaultDeploymentMode": "Serverless"}',
            "ingress": '{"urlScheme": "http"}',
            "storageInitializer": '{"image": "kserve/storage-initializer:latest", "cpuRequest": '
            '"100m",'
            ' "cpuLimit": "1", "memoryRequest": "100Mi", "memoryLimit": "1Gi"}',
        }
    }

    def test_serves_in_standard_mode_without_ingress(self):
        data = kserve.settings(self.shipped)["data"]
        assert data["deploy"] == '{"defaultDeploymentMode": "Standard"}'
        assert '"disableIngressCreation": true' in data["ingress"]
        assert "_example" not in data

    def test_pins_the_storage_initializer(self):
        container = kserve.storage_container(self.shipped)["spec"]["container"]
        assert container["image"] == f"kserve/storage-initializer:{kserve.RELEASE}"

    def test_lets_the_products_loader_trust_the_stacks_own_key(self, tmp_path):
        context = cluster_context(tmp_path)
        shipped = yaml.safe_load((context.root / kserve.LOADER).read_text())
        keys = credentials.public_key_file(context, "signing-key").read_text()
        made = kserve.loader(shipped, bucket="models-of-ours", keys=keys)["spec"]
        env = {item["name"]: item for item in made["container"]["env"]}
        (trusted,) = trusted_keys(env["TRUSTED_KEYS"]["value"].encode())
        own = FileSigner.load(credentials.signing_key_file(context)).public_key
        assert trusted == own
        assert env["APPROVED_DIGEST"] == shipped["spec"]["container"]["env"][0]
        assert made["supportedUriFormats"] == [{"prefix": "s3://models-of-ours/"}]

    def test_calls_its_webhooks_by_url(self):
        service = {"name": "x", "namespace": "y", "path": "/mutate-pods"}
        shipped = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "n", "creationTimestamp": None},
            "webhooks": [
                {"name": "w", "clientConfig": {"service": service}, "failurePolicy": "Fail"}
            ],
        }
        hook = kserve.webhook(shipped, "https://127.0.0.1:19008", b"authority")["webhooks"][0]
        assert hook["clientConfig"] == {
            "url": "https://127.0.0.1:19008/mutate-pods",
            "caBundle": base64.b64encode(b"authority").decode(),
        }
        assert hook["failurePolicy"] == "Fail"


class TestKeda:
    def test_shows_a_credential_that_only_its_own_namespace_holds(self, tmp_path):
        context = cluster_context(tmp_path)
        secret, authentication = keda.objects(context)
        token = credentials.scaling_token_file(context).read_text()
        assert (secret["kind"], secret["metadata"]["namespace"]) == ("Secret", "keda")
        assert base64.b64decode(secret["data"]["token"]).decode() == token
        (named,) = authentication["spec"]["secretTargetRef"]
        assert (named["name"], named["key"], named["parameter"]) == (
            secret["metadata"]["name"],
            "token",
            "token",
        )
        assert token not in str(authentication)

    def test_watches_models_and_no_secrets_elsewhere(self, found):
        env = found["keda"].env
        assert (env["WATCH_NAMESPACE"], env["KEDA_RESTRICT_SECRET_ACCESS"]) == ("models", "true")

    def test_needs_no_more_than_the_api_so_that_the_warm_path_never_waits_for_it(self, found):
        assert found["keda"].needs == ("kube-apiserver",)
        waiting = {name for name, part in found.items() if {"keda", "keda-adapter"} & {*part.needs}}
        assert waiting == {"keda-adapter"}

    def test_answers_as_a_part_of_the_api_under_a_name_of_its_certificate(self, tmp_path):
        context = cluster_context(tmp_path)
        service, part = keda.api_service(context)
        named = part["spec"]["service"]
        assert service["spec"] == {"type": "ExternalName", "externalName": "localhost"}
        assert named["port"] == layout.PORTS["keda-adapter"]
        assert f"{named['name']}.{named['namespace']}.svc" in keda.SERVED_AS
        assert base64.b64decode(part["spec"]["caBundle"]).startswith(b"-----BEGIN CERTIFICATE")

    def test_speaks_for_others_by_one_certificate_of_an_authority_of_its_own(self, tmp_path):
        context = cluster_context(tmp_path)
        signer, pair = kubeconfigs.front_proxy(context)
        others = kubeconfigs.authority(context)
        assert signer.pair.certificate.read_bytes() != others.pair.certificate.read_bytes()
        flags = parts(context)[1].command
        assert f"--proxy-client-cert-file={pair.certificate}" in flags
        assert "--requestheader-allowed-names=front-proxy-client" in flags


class TestPathOf:
    def test_is_the_objects_address(self):
        namespaced = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}
        assert api.path_of(
            namespaced | {"metadata": {"name": "serving", "namespace": "argocd"}}
        ) == ("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/serving")
        assert api.path_of(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "models"}}
        ) == ("/api/v1/namespaces/models")
