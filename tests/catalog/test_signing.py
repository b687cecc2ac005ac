"""Bundles that the model-signing library accepts, and what is refused."""

import base64
import hashlib
import json
from functools import partial

import model_signing
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from apps.catalog import signing
from apps.catalog.manifest import FileEntry, manifest
from apps.catalog.signing import BadSignature, SigningKey, load_key, sign, verify
from tests.catalog.samples import declared, folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=[ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def key(request) -> SigningKey:
    return SigningKey(ec.generate_private_key(request.param()))


@pytest.fixture
def published(tmp_path, key):
    """A downloaded version: its files, manifest.json and model.sig."""
    target = tmp_path / "prior-auth-extract-v1"
    target.mkdir()
    contents = folder()
    for name, body in contents.items():
        (target / name).write_bytes(body)
    files = declared(contents)
    (target / "manifest.json").write_bytes(
        manifest(model="prior-auth-extract", number=1, entries=files)
    )
    (target / "model.sig").write_bytes(sign(name=target.name, entries=files, key=key))
    (tmp_path / "public.pem").write_bytes(key.public_pem)
    return target


def library_verifies(target) -> None:
    ignored = model_signing.hashing.Config().set_ignored_paths(
        paths=[target / "model.sig", target / "manifest.json"], ignore_git_paths=False
    )
    config = model_signing.verifying.Config().use_elliptic_key_verifier(
        public_key=target.parent / "public.pem"
    )
    config.set_hashing_config(ignored).verify(target, target / "model.sig")


def library_signs(target, key) -> None:
    private = serialization.PrivateFormat.PKCS8
    pem = key.private.private_bytes(
        serialization.Encoding.PEM, private, serialization.NoEncryption()
    )
    (target.parent / "private.pem").write_bytes(pem)
    ignored = model_signing.hashing.Config().set_ignored_paths(
        paths=[target / "manifest.json", target / "model.sig"], ignore_git_paths=False
    )
    config = model_signing.signing.Config().use_elliptic_key_signer(
        private_key=target.parent / "private.pem"
    )
    config.set_hashing_config(ignored).sign(target, target / "model.sig")


def opened(bundle: bytes) -> tuple[dict, dict]:
    """Return a bundle without its statement and signature, and the statement."""
    read = json.loads(bundle)
    statement = json.loads(base64.b64decode(read["dsseEnvelope"].pop("payload")))
    statement["predicate"]["serialization"]["ignore_paths"].sort()
    for signature in read["dsseEnvelope"]["signatures"]:
        signature.pop("sig")
        assert not signature.pop("keyid", "")
    return read, statement


class TestSign:
    def test_makes_a_bundle_that_the_library_accepts(self, published):
        library_verifies(published)

    def test_says_word_for_word_what_the_library_would_say(self, published, key):
        ours = opened((published / "model.sig").read_bytes())
        library_signs(published, key)
        assert ours == opened((published / "model.sig").read_bytes())

    def test_needs_no_settings_in_the_library_to_ignore_our_documents(self, published):
        config = model_signing.verifying.Config().use_elliptic_key_verifier(
            public_key=published.parent / "public.pem"
        )
        config.verify(published, published / "model.sig")

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "extra.txt"])
    def test_makes_the_library_refuse_a_changed_or_added_file(self, published, name):
        (published / name).write_bytes(b"changed")
        with pytest.raises(ValueError, match=r"mismatch|Extra"):
            library_verifies(published)


class TestVerify:
    def test_accepts_what_sign_made(self, key):
        files = declared(folder())
        verify(bundle=sign(name="m-v1", entries=reversed(files), key=key), entries=files, key=key)

    def test_accepts_what_the_library_made(self, published, key):
        library_signs(published, key)
        verify(bundle=(published / "model.sig").read_bytes(), entries=declared(folder()), key=key)

    @pytest.mark.parametrize(
        "change",
        [
            lambda files: files[1:],
            lambda files: [*files, FileEntry("x.txt", 1, "00" * 32)],
            lambda files: [FileEntry(files[0].name, 1, "00" * 32), *files[1:]],
        ],
    )
    def test_refuses_another_list(self, key, change):
        files = declared(folder())
        with pytest.raises(BadSignature, match="another"):
            verify(bundle=sign(name="m-v1", entries=files, key=key), entries=change(files), key=key)

    def test_refuses_another_key(self, key):
        other = SigningKey(ec.generate_private_key(ec.SECP256R1()))
        files = declared(folder())
        with pytest.raises(BadSignature, match="was not made by"):
            verify(bundle=sign(name="m-v1", entries=files, key=other), entries=files, key=key)

    def test_refuses_a_changed_statement(self, key):
        files = declared(folder())
        bundle = json.loads(sign(name="m-v1", entries=files, key=key))
        payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        payload["subject"][0]["name"] = "other-v9"
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
        with pytest.raises(BadSignature, match="was not made by"):
            verify(bundle=json.dumps(bundle).encode(), entries=files, key=key)

    @pytest.mark.parametrize("bundle", [b"", b"[]", b"{}", b'{"dsseEnvelope": 3}', b"\xff\xfe"])
    def test_refuses_what_is_no_bundle(self, key, bundle):
        with pytest.raises(BadSignature, match="not a model-signing bundle"):
            verify(bundle=bundle, entries=[], key=key)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"predicateType": "https://example.com/other"}, "describes something other"),
            ({"predicate": {"serialization": {"method": "shards"}}}, "describes something other"),
        ],
    )
    def test_refuses_a_statement_about_something_else(self, key, change, why, monkeypatch):
        said = signing._statement("m-v1", declared(folder()))
        predicate = said["predicate"] | change.get("predicate", {})
        other = said | change | {"predicate": predicate}
        monkeypatch.setattr(signing, "_statement", lambda *_: other)
        bundle = sign(name="m-v1", entries=declared(folder()), key=key)
        with pytest.raises(BadSignature, match=why):
            verify(bundle=bundle, entries=declared(folder()), key=key)

    def test_refuses_an_envelope_of_another_kind_and_signs_the_kind_too(self, key, monkeypatch):
        monkeypatch.setattr(signing, "PAYLOAD", "text/plain")
        bundle = sign(name="m-v1", entries=declared(folder()), key=key)
        monkeypatch.undo()
        with pytest.raises(BadSignature, match="holds text/plain, not an in-toto statement"):
            verify(bundle=bundle, entries=declared(folder()), key=key)
        renamed = json.loads(bundle)
        renamed["dsseEnvelope"]["payloadType"] = signing.PAYLOAD
        with pytest.raises(BadSignature, match="was not made by"):
            verify(bundle=json.dumps(renamed).encode(), entries=declared(folder()), key=key)

    def test_refuses_text_that_is_no_base64_even_where_the_rest_fits(self, key):
        bundle = json.loads(sign(name="m-v1", entries=declared(folder()), key=key))
        for place in (bundle["dsseEnvelope"], bundle["dsseEnvelope"]["signatures"][0]):
            name = "payload" if "payload" in place else "sig"
            good = place[name]
            place[name] = f"!{good}"
            with pytest.raises(BadSignature, match="not a model-signing bundle"):
                verify(bundle=json.dumps(bundle).encode(), entries=declared(folder()), key=key)
            place[name] = good


class TestLoadKey:
    @pytest.fixture
    def stored(self, tmp_path):
        def store(key):
            path = tmp_path / "key.pem"
            private = serialization.PrivateFormat.PKCS8
            form = (serialization.Encoding.PEM, private, serialization.NoEncryption())
            path.write_bytes(key.private_bytes(*form))
            return path

        return store

    def test_takes_every_curve_of_the_format_and_names_the_signer(self, stored, key):
        loaded = load_key(stored(key.private))
        assert loaded.public_pem == key.public_pem
        assert loaded.fingerprint == hashlib.sha256(key.public_pem).hexdigest()
        assert loaded.signer == f"Registry key {loaded.fingerprint[:16]}"

    @pytest.mark.parametrize(
        "other",
        [ed25519.Ed25519PrivateKey.generate, partial(ec.generate_private_key, ec.SECP224R1())],
    )
    def test_refuses_other_keys(self, stored, other):
        with pytest.raises(ValueError, match="elliptic-curve"):
            load_key(stored(other()))
