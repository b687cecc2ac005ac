"""Vault's transit engine, on the stack's own OpenBao: who signs what, and what is believed."""

import base64
import json
import subprocess
import sys

import hvac
import pytest
from hvac import exceptions

from apps.common import model_manifest
from apps.common.model_manifest import FileEntry
from apps.common.signing import is_signed, open_note, read_public_keys, signed_note
from apps.integrations.errors import NotFound, PermanentError, Refused, TemporaryError
from apps.integrations.vault.client import FileTokens, KubernetesTokens, Vault
from apps.integrations.vault.transit import TransitSigner, TransitWrapper
from deploy.local.stack.vault_keys import POLICIES
from tests.local.bao import running

KEYS = {"registry": "model-registry", "sealer": "audit-record"}


@pytest.fixture(scope="module")
def bao(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bao")) as found:
        yield found


@pytest.fixture
def signer(bao):
    """Return the signer of a process, with its own token."""

    def made(who="registry", key=None, **options):
        vault = Vault(bao.address, FileTokens(bao.token(who)), **options)
        return TransitSigner(vault, key or KEYS[who])

    return made


class TestTransitSigner:
    def test_makes_what_the_public_key_verifies(self, signer):
        one, other = signer("registry"), signer("sealer")
        message = b"x" * 10_000_000  # more than Vault would take: only its digest is sent
        signature = one.sign(message)
        assert is_signed(key=one.public_key, signature=signature, message=message)
        assert not is_signed(key=one.public_key, signature=signature, message=message[1:])
        assert not is_signed(key=other.public_key, signature=signature, message=message)
        assert one.kind == "TRANSIT"
        # another test turns the key over
        assert one.key_id in [f"transit/model-registry:v{number}" for number in (1, 2, 3)]

    def test_signs_checkpoints_of_the_record(self, signer):
        sealer = signer("sealer")
        note = signed_note(
            "quartermaster/audit\n1\nAAAA\n", name="quartermaster/audit", signer=sealer
        )
        text = open_note(note, name="quartermaster/audit", keys=[sealer.public_key])
        assert text.startswith("quartermaster/audit\n1\n")

    def test_bundle_verifies_with_the_public_tool(self, signer, tmp_path):
        verifies_with_the_public_tool(signer("registry"), tmp_path)

    @pytest.mark.parametrize(
        ("who", "key"), [("registry", "audit-record"), ("sealer", "model-registry")]
    )
    def test_token_is_for_its_own_key_alone(self, signer, who, key):
        with pytest.raises(Refused, match="Vault does not let us use the key transit/"):
            signer(who, key).sign(b"message")

    @pytest.mark.parametrize("who", KEYS)
    def test_token_may_do_nothing_else(self, bao, who):
        client = hvac.Client(url=bao.address, token=bao.token(who).read_text())
        key = KEYS[who]
        for forbidden in (
            lambda: client.secrets.transit.rotate_key(key),
            lambda: client.secrets.transit.export_key(key, "signing-key"),
            lambda: client.secrets.transit.delete_key(key),
            lambda: client.secrets.transit.list_keys(),
            lambda: client.sys.list_policies(),
            lambda: client.auth.token.create(policies=["root"]),
        ):
            with pytest.raises((exceptions.Forbidden, exceptions.InvalidRequest)):
                forbidden()

    def test_key_that_is_not_there_or_is_of_another_kind_is_named(self, bao, signer):
        with pytest.raises((NotFound, Refused)):
            _ = signer("registry", "nothing").public_key

    def test_goes_on_signing_with_its_version_when_the_key_is_rotated(self, bao, signer):
        before = signer("registry")
        _ = before.public_key
        _rotate(bao, "model-registry")
        after = signer("registry")
        assert (before.key_id, after.key_id) == (
            "transit/model-registry:v1", "transit/model-registry:v2",
        )  # fmt: skip
        for one, other in ((before, after), (after, before)):
            signature = one.sign(b"m")
            assert is_signed(key=one.public_key, signature=signature, message=b"m")
            assert not is_signed(key=other.public_key, signature=signature, message=b"m")
        bao.run_job()
        pem = (bao.context.state / "secrets" / "signing-key.pub.pem").read_bytes()
        assert read_public_keys(pem) == [after.public_key, before.public_key]


class TestTransitWrapper:
    @pytest.fixture
    def wrapper(self, bao):
        """Return what wraps with a process's own token."""

        def made(who):
            vault = Vault(bao.address, FileTokens(bao.token(who)))
            return TransitWrapper(vault, "prompt-record")

        return made

    def test_makes_keys_that_gate_and_portal_unwrap(self, wrapper):
        one, other = wrapper("gate").make_key("a"), wrapper("gate").make_key("a")
        assert one.plain != other.plain and len(one.plain) == 32
        assert one.wrapped.startswith(b"vault:v")
        assert wrapper("gate").unwrap(one.wrapped, "a") == one.plain
        assert wrapper("reader").unwrap(one.wrapped, "a") == one.plain
        assert wrapper("gate").key_id == "vault/transit/prompt-record"

    def test_portal_has_no_keys_made_and_those_who_sign_neither(self, wrapper):
        made = wrapper("gate").make_key("a")
        for who in ("reader", "registry", "sealer"):
            with pytest.raises(Refused, match="does not let us use the key"):
                wrapper(who).make_key("a")
        for who in ("registry", "sealer"):
            with pytest.raises(Refused):
                wrapper(who).unwrap(made.wrapped, "a")

    def test_still_unwraps_when_the_wrapping_key_is_rotated(self, bao, wrapper):
        before = wrapper("gate").make_key("a")
        _rotate(bao, "prompt-record")
        assert wrapper("gate").make_key("a").wrapped.startswith(b"vault:v2:")
        assert wrapper("gate").unwrap(before.wrapped, "a") == before.plain

    def test_refuses_what_it_did_not_wrap(self, wrapper):
        with pytest.raises(PermanentError):
            wrapper("gate").unwrap(b"vault:v1:AAAA", "a")

    def test_gate_may_do_nothing_else(self, bao):
        client = hvac.Client(url=bao.address, token=bao.token("gate").read_text())
        for forbidden in (
            lambda: client.secrets.transit.rotate_key("prompt-record"),
            lambda: client.secrets.transit.export_key("prompt-record", "encryption-key"),
            lambda: client.secrets.transit.delete_key("prompt-record"),
            lambda: client.secrets.transit.read_key("model-registry"),
        ):
            with pytest.raises((exceptions.Forbidden, exceptions.InvalidRequest)):
                forbidden()


class TestTheStacksVault:
    def test_finds_everything_again_after_a_crash(self, bao, signer):
        before, token = signer("registry").public_key, bao.token("registry").read_text()
        bao.stop()
        with pytest.raises(TemporaryError, match="Vault cannot be reached"):
            signer("registry", timeout=1).sign(b"m")
        bao.start()
        assert signer("registry").public_key == before
        assert bao.token("registry").read_text() != token
        assert is_signed(key=before, signature=signer("registry").sign(b"m"), message=b"m")

    def test_keeps_no_root_token_and_no_private_key_in_a_file(self, bao):
        secrets = bao.context.state / "secrets"
        assert sorted(path.name for path in secrets.iterdir()) == [
            "audit-key.pub.pem", "signing-key.pub.pem", "vault-gate-token", "vault-reader-token",
            "vault-registry-token", "vault-sealer-token", "vault-setup-token",
        ]  # fmt: skip
        assert {oct(path.stat().st_mode & 0o777) for path in secrets.iterdir()} == {"0o600"}

    def test_does_the_job_again_where_it_died_halfway(self, bao, signer):
        secrets = bao.context.state / "secrets"
        (secrets / "vault-sealer-token").unlink()
        root = secrets / "vault-root-token"
        root.write_text("s.revoked-before-its-file-was-taken-away")
        bao.run_job()
        assert signer("sealer").sign(b"m")
        assert not root.exists()

    def test_makes_the_key_of_its_seal_anew_where_a_start_died_before_it_was_written(self, bao):
        seal = bao.context.folder("vault") / "seal.key"
        kept = seal.read_bytes()
        bao.server.prepare()
        assert (seal.read_bytes(), len(kept)) == (kept, 32)
        try:
            seal.write_bytes(b"")
            bao.server.prepare()
            assert (len(seal.read_bytes()), seal.stat().st_mode & 0o777) == (32, 0o600)
        finally:
            seal.write_bytes(kept)


class Lies:
    """A Vault that answers with something else, for one call. call: takes what hvac's client is."""

    def __init__(self, vault, answers):
        self._vault, self._answers = vault, answers

    def call(self, what, call):
        found = self._vault.call(what, call)
        return self._answers.get(found, found) if isinstance(found, bool) else self._changed(found)

    def _changed(self, found):
        return self._answers["signature"](found) if isinstance(found, str) else found


class TestAnswersThatAreNone:
    @pytest.mark.parametrize("said", [False, None, "true", 1, "True", [True]])
    def test_only_the_very_word_true_is_a_yes(self, bao, said):
        vault = Vault(bao.address, FileTokens(bao.token("registry")))
        lying = Lies(vault, {True: said, "signature": lambda found: found})
        with pytest.raises(PermanentError, match="signature that the key .* did not make"):
            TransitSigner(lying, "model-registry").sign(b"m")

    @pytest.mark.parametrize(
        "changed",
        [
            lambda found: found.replace("vault:v", "vault:v9"),
            lambda found: found.partition(":")[2],
            lambda found: found[:20] + "!",
            lambda found: "",
        ],
    )
    def test_a_signature_is_of_the_version_that_was_asked_for(self, bao, changed):
        vault = Vault(bao.address, FileTokens(bao.token("registry")))
        lying = Lies(vault, {"signature": changed})
        with pytest.raises(PermanentError, match="no signature by version"):
            TransitSigner(lying, "model-registry").sign(b"m")

    def test_a_signature_of_another_message_is_none(self, bao):
        vault = Vault(bao.address, FileTokens(bao.token("registry")))
        other = "vault:v1:" + base64.b64encode(b"0" * 70).decode()
        lying = Lies(vault, {"signature": lambda found: found.partition(":")[0] + other[5:]})
        with pytest.raises(PermanentError):
            TransitSigner(lying, "model-registry").sign(b"m")


class TestVault:
    def test_takes_no_token_from_a_call_that_is_on_its_way(self):
        """Several threads share one client: between two calls its token is never away."""
        seen = []

        class Tokens:
            def token(self, client):
                seen.append(client.token)
                return "hvs.1"

            def forget(self):
                return False

        vault = Vault("http://127.0.0.1:1", Tokens())
        assert [vault.call("x", lambda client: client.token) for _ in range(2)] == ["hvs.1"] * 2
        assert seen[1] == "hvs.1"

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, PermanentError), (403, Refused), (404, NotFound), (412, TemporaryError),
         (429, TemporaryError), (500, TemporaryError), (502, TemporaryError),
         (503, TemporaryError)],
    )  # fmt: skip
    def test_error_says_whether_to_try_again(self, status, kind, bao):
        def refuse(client):
            raise (
                exceptions.VaultError.from_status(
                    status, errors=["no"], method="post", url="http://x/v1/transit?secret"
                )
                if status != 412
                else exceptions.PreconditionFailed("no", errors=["no"])
            )

        with pytest.raises(kind) as found:
            Vault(bao.address, FileTokens(bao.token("registry"))).call("the key", refuse)
        assert type(found.value) is kind
        assert "secret" not in str(found.value)

    def test_reads_its_token_at_each_use(self, bao, tmp_path):
        path = tmp_path / "token"
        path.write_text("hvs.wrong\n")
        vault = Vault(bao.address, FileTokens(path))
        with pytest.raises(Refused):
            TransitSigner(vault, "model-registry").sign(b"m")
        path.write_text(bao.token("registry").read_text())
        assert TransitSigner(vault, "model-registry").sign(b"m")

    def test_says_that_there_is_no_token(self, bao, tmp_path):
        vault = Vault(bao.address, FileTokens(tmp_path / "none"))
        with pytest.raises(PermanentError, match="token for Vault cannot be read"):
            TransitSigner(vault, "model-registry").sign(b"m")


class TestKubernetesTokens:
    def logins(self, tmp_path, lasts=300):
        """Return the tokens, the clock they read, and the JWTs that they logged in with."""
        jwt, clock, seen = tmp_path / "jwt", [0.0], []
        jwt.write_text("first")

        class Kubernetes:
            def login(self, *, role, jwt, use_token, mount_point):
                seen.append((role, jwt, use_token, mount_point))
                return {"auth": {"client_token": f"hvs.{len(seen)}", "lease_duration": lasts}}

        class Client:
            auth = type("Auth", (), {"kubernetes": Kubernetes()})()

        tokens = KubernetesTokens("portal", mount="eks", jwt=jwt, clock=lambda: clock[0])
        return tokens, Client(), clock, seen, jwt

    def test_are_made_anew_before_they_end_with_the_jwt_of_then(self, tmp_path):
        tokens, client, clock, seen, jwt = self.logins(tmp_path)
        assert [tokens.token(client) for _ in range(3)] == ["hvs.1"] * 3
        clock[0] = 199.0
        assert tokens.token(client) == "hvs.1"
        jwt.write_text("second")
        clock[0] = 200.0
        assert tokens.token(client) == "hvs.2"
        assert seen == [("portal", "first", False, "eks"), ("portal", "second", False, "eks")]

    def test_are_made_anew_once_vault_knows_them_no_more(self, tmp_path, bao):
        tokens, client, *_ = self.logins(tmp_path)
        assert tokens.token(client) == "hvs.1"
        assert tokens.forget()
        assert not tokens.forget()
        assert tokens.token(client) == "hvs.2"

    def test_need_a_service_account(self, tmp_path):
        tokens, client, _, _, jwt = self.logins(tmp_path)
        jwt.unlink()
        with pytest.raises(PermanentError, match="no service account"):
            tokens.token(client)


def verifies_with_the_public_tool(signer, folder):
    """Sign a folder's files; assert that the public command accepts it, and no other content."""
    import hashlib

    from apps.common.signing import public_pem

    model = folder / "model"
    model.mkdir()
    contents = {"config.json": b"{}", "model.safetensors": b"weights", "ranges.json": b"{ }"}
    for name, body in contents.items():
        (model / name).write_bytes(body)
    entries = [
        FileEntry(name, len(body), hashlib.sha256(body).hexdigest())
        for name, body in contents.items()
    ]
    bundle = model_manifest.sign(name="m-v1", entries=entries, signer=signer)
    assert json.loads(bundle)["mediaType"].startswith("application/vnd.dev.sigstore.bundle")
    (model / "model.sig").write_bytes(bundle)
    (folder / "key.pem").write_bytes(public_pem(signer.public_key))
    command = [
        sys.executable, "-m", "model_signing", "verify", "key", str(model),
        "--signature", str(model / "model.sig"), "--public_key", str(folder / "key.pem"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (model / "config.json").write_bytes(b"{ }")
    assert subprocess.run(command, capture_output=True, text=True).returncode != 0


def _rotate(bao, key):
    """Rotate a key by the job's own right to change policies: one of them is wider until then."""
    own = hvac.Client(
        url=bao.address,
        token=(bao.context.state / "secrets" / "vault-setup-token").read_text(),
    )
    own.sys.create_or_update_policy(
        "registry", 'path "transit/*" { capabilities = ["read", "update"] }'
    )
    try:
        token = own.auth.token.create(role_name="registry")["auth"]["client_token"]
        hvac.Client(url=bao.address, token=token).secrets.transit.rotate_key(key)
    finally:
        own.sys.create_or_update_policy("registry", (POLICIES / "registry.hcl").read_text())
