"""What the product's processes are given, and what only one of them is."""

from pathlib import Path

from apps.common.signing import FileSigner, fingerprint, read_public_keys
from deploy.local.stack import product
from tests.local.cluster_context import cluster_context


class TestTheRecordsKey:
    def test_is_the_sealer_s_alone_and_its_public_half_everybody_s(self, tmp_path):
        parts = {part.name: part.env for part in product.parts(cluster_context(tmp_path))}
        given = {name for name, env in parts.items() if "AUDIT_SIGNING_KEY_FILE" in env}
        assert given == {"sealer"}
        path = parts["sealer"]["AUDIT_PUBLIC_KEYS_FILE"]
        assert {parts[name]["AUDIT_PUBLIC_KEYS_FILE"] for name in ("portal", "worker")} == {path}
        (public,) = read_public_keys(Path(path).read_bytes())
        private = FileSigner.load(parts["sealer"]["AUDIT_SIGNING_KEY_FILE"])
        assert fingerprint(private.public_key) == fingerprint(public)
