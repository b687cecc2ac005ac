"""The local cluster's certificates and the kubeconfigs that carry them."""

import base64
import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy.local.cluster import kubeconfigs, pki
from deploy.local.cluster.pki import Authority, Identity
from tests.local.cluster_context import cluster_context


def certificate(path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def common_name(found: x509.Certificate) -> str:
    return str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


class TestAuthority:
    def test_is_made_once(self, tmp_path):
        first = Authority(tmp_path).pair.certificate.read_bytes()
        assert Authority(tmp_path).pair.certificate.read_bytes() == first

    def test_keeps_keys_to_their_owner(self, tmp_path):
        pair = Authority(tmp_path).client("client-x", Identity("x"))
        assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600

    def test_issues_a_missing_certificate_again_and_keeps_a_current_one(self, tmp_path):
        authority = Authority(tmp_path)
        pair = authority.server("a")
        before = pair.certificate.read_bytes()
        assert authority.server("a").certificate.read_bytes() == before
        pair.key.unlink()
        assert authority.server("a").certificate.read_bytes() != before

    def test_replaces_a_certificate_of_an_authority_that_is_gone(self, tmp_path):
        old = Authority(tmp_path).server("a").certificate.read_bytes()
        (tmp_path / "ca.key").unlink()
        assert Authority(tmp_path).server("a").certificate.read_bytes() != old

    def test_replaces_a_certificate_that_ends_soon(self, tmp_path, monkeypatch):
        authority = Authority(tmp_path)
        monkeypatch.setattr(pki, "CERTIFICATE_DAYS", 29)
        old = authority.server("a").certificate.read_bytes()
        monkeypatch.undo()
        renewed = authority.server("a").certificate
        assert renewed.read_bytes() != old
        assert certificate(renewed).not_valid_after_utc > datetime.now(UTC) + timedelta(days=300)


class TestServer:
    def test_is_valid_for_loopback_and_the_clusters_own_names(self, tmp_path):
        found = certificate(Authority(tmp_path).server("kube-apiserver").certificate)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(names.get_values_for_type(x509.DNSName)) == {
            "localhost",
            "kubernetes.default.svc",
        }
        assert set(names.get_values_for_type(x509.IPAddress)) == {
            ip_address("127.0.0.1"),
            ip_address("10.96.0.1"),
        }

    def test_cannot_sign_other_certificates(self, tmp_path):
        found = certificate(Authority(tmp_path).server("kube-apiserver").certificate)
        assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


class TestKubeconfigs:
    def test_are_written_for_every_client(self, tmp_path):
        context = cluster_context(tmp_path)
        kubeconfigs.ensure(context)
        written = {path.name for path in (tmp_path / "cluster" / "kubeconfigs").iterdir()}
        assert written == {
            "admin", "portal", "kubelet", "gateway", "controller-manager", "scheduler", "karpenter",
            "kwok", "kserve",
            "argocd", "hook", "engineer", "keda", "keda-adapter",
        }  # fmt: skip

    @pytest.mark.parametrize("client", sorted(kubeconfigs.CLIENTS))
    def test_name_the_user_that_rbac_sees(self, tmp_path, client):
        context = cluster_context(tmp_path)
        kubeconfigs.ensure(context)
        config = yaml.safe_load((tmp_path / "cluster" / "kubeconfigs" / client).read_text())
        pem = base64.b64decode(config["users"][0]["user"]["client-certificate-data"])
        assert common_name(x509.load_pem_x509_certificate(pem)) == kubeconfigs.CLIENTS[client].user
        assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:16443"

    def test_give_only_the_administrator_the_masters_group(self):
        masters = [
            name
            for name, identity in kubeconfigs.CLIENTS.items()
            if "system:masters" in identity.groups
        ]
        assert masters == ["admin"]

    def test_stay_the_same_at_the_next_start(self, tmp_path):
        context = cluster_context(tmp_path)
        kubeconfigs.ensure(context)
        path = tmp_path / "cluster" / "kubeconfigs" / "portal"
        before = path.stat().st_mtime_ns
        kubeconfigs.ensure(context)
        assert path.stat().st_mtime_ns == before
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
