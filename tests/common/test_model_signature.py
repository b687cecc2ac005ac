"""Bundles that the model-signing library accepts, and what is refused."""

import base64
import hashlib
import json

import model_signing
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.common import model_manifest
from apps.common.model_manifest import (
    BadSignature,
    FileEntry,
    manifest,
    sign,
    signer_name,
    trusted_keys,
    verify,
)
from apps.common.signing import FileSigner, public_pem
from tests.catalog.samples import declared, folder

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=[ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
def signer(request) -> FileSigner:
    return FileSigner(ec.generate_private_key(request.param()))


@pytest.fixture
def published(tmp_path, signer):
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
    (target / "model.sig").write_bytes(sign(name=target.name, entries=files, signer=signer))
    (tmp_path / "public.pem").write_bytes(public_pem(signer.public_key))
    return target


def library_verifies(target) -> None:
    ignored = model_signing.hashing.Config().set_ignored_paths(
        paths=[target / "model.sig", target / "manifest.json"], ignore_git_paths=False
    )
    config = model_signing.verifying.Config().use_elliptic_key_verifier(
        public_key=target.parent / "public.pem"
    )
    config.set_hashing_config(ignored).verify(target, target / "model.sig")


def library_signs(target, signer) -> None:
    private = serialization.PrivateFormat.PKCS8
    pem = signer.private.private_bytes(
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

    def test_says_word_for_word_what_the_library_would_say(self, published, signer):
        ours = opened((published / "model.sig").read_bytes())
        library_signs(published, signer)
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
    def test_accepts_what_sign_made(self, signer):
        files = declared(folder())
        verify(
            bundle=sign(name="m-v1", entries=reversed(files), signer=signer),
            entries=files,
            keys=[signer.public_key],
        )

    def test_accepts_what_the_library_made(self, published, signer):
        library_signs(published, signer)
        verify(
            bundle=(published / "model.sig").read_bytes(),
            entries=declared(folder()),
            keys=[signer.public_key],
        )

    @pytest.mark.parametrize(
        "change",
        [
            lambda files: files[1:],
            lambda files: [*files, FileEntry("x.txt", 1, "00" * 32)],
            lambda files: [FileEntry(files[0].name, 1, "00" * 32), *files[1:]],
        ],
    )
    def test_refuses_another_list(self, signer, change):
        files = declared(folder())
        with pytest.raises(BadSignature, match="another"):
            verify(
                bundle=sign(name="m-v1", entries=files, signer=signer),
                entries=change(files),
                keys=[signer.public_key],
            )

    def test_refuses_another_versions_name(self, signer):
        files = declared(folder())
        signed = {
            "bundle": sign(name="m-v1", entries=files, signer=signer),
            "entries": files,
            "keys": [signer.public_key],
        }
        assert verify(**signed, name="m-v1") == signer.public_key
        with pytest.raises(BadSignature, match="was made for m-v1, not for m-v2"):
            verify(**signed, name="m-v2")

    def test_refuses_another_key(self, signer):
        other = FileSigner(ec.generate_private_key(ec.SECP256R1()))
        files = declared(folder())
        with pytest.raises(BadSignature, match="was not made by"):
            verify(
                bundle=sign(name="m-v1", entries=files, signer=other),
                entries=files,
                keys=[signer.public_key],
            )

    def test_names_which_of_the_trusted_keys_made_it(self, signer):
        other = FileSigner(ec.generate_private_key(ec.SECP256R1()))
        files = declared(folder())
        bundle = sign(name="m-v1", entries=files, signer=signer)
        keys = [other.public_key, signer.public_key]
        assert verify(bundle=bundle, entries=files, keys=keys) == signer.public_key
        with pytest.raises(BadSignature, match=f"not made by {signer_name(other.public_key)}"):
            verify(bundle=bundle, entries=files, keys=keys[:1])

    def test_refuses_a_changed_statement(self, signer):
        files = declared(folder())
        bundle = json.loads(sign(name="m-v1", entries=files, signer=signer))
        payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        payload["subject"][0]["name"] = "other-v9"
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
        with pytest.raises(BadSignature, match="was not made by"):
            verify(bundle=json.dumps(bundle).encode(), entries=files, keys=[signer.public_key])

    @pytest.mark.parametrize("bundle", [b"", b"[]", b"{}", b'{"dsseEnvelope": 3}', b"\xff\xfe"])
    def test_refuses_what_is_no_bundle(self, signer, bundle):
        with pytest.raises(BadSignature, match="not a model-signing bundle"):
            verify(bundle=bundle, entries=[], keys=[signer.public_key])

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"predicateType": "https://example.com/other"}, "describes something other"),
            ({"predicate": {"serialization": {"method": "shards"}}}, "describes something other"),
        ],
    )
    def test_refuses_a_statement_about_something_else(self, signer, change, why, monkeypatch):
        said = model_manifest._statement("m-v1", declared(folder()))
        predicate = said["predicate"] | change.get("predicate", {})
        other = said | change | {"predicate": predicate}
        monkeypatch.setattr(model_manifest, "_statement", lambda *_: other)
        bundle = sign(name="m-v1", entries=declared(folder()), signer=signer)
        with pytest.raises(BadSignature, match=why):
            verify(bundle=bundle, entries=declared(folder()), keys=[signer.public_key])

    def test_refuses_an_envelope_of_another_kind_and_signs_the_kind_too(self, signer, monkeypatch):
        monkeypatch.setattr(model_manifest, "PAYLOAD", "text/plain")
        bundle = sign(name="m-v1", entries=declared(folder()), signer=signer)
        monkeypatch.undo()
        with pytest.raises(BadSignature, match="holds text/plain, not an in-toto statement"):
            verify(bundle=bundle, entries=declared(folder()), keys=[signer.public_key])
        renamed = json.loads(bundle)
        renamed["dsseEnvelope"]["payloadType"] = model_manifest.PAYLOAD
        with pytest.raises(BadSignature, match="was not made by"):
            verify(
                bundle=json.dumps(renamed).encode(),
                entries=declared(folder()),
                keys=[signer.public_key],
            )

    def test_refuses_text_that_is_no_base64_even_where_the_rest_fits(self, signer):
        bundle = json.loads(sign(name="m-v1", entries=declared(folder()), signer=signer))
        for place in (bundle["dsseEnvelope"], bundle["dsseEnvelope"]["signatures"][0]):
            name = "payload" if "payload" in place else "sig"
            good = place[name]
            place[name] = f"!{good}"
            with pytest.raises(BadSignature, match="not a model-signing bundle"):
                verify(
                    bundle=json.dumps(bundle).encode(),
                    entries=declared(folder()),
                    keys=[signer.public_key],
                )
            place[name] = good


class TestSignerName:
    def test_is_made_of_the_key_as_the_format_hints_at_it(self, signer):
        pem = public_pem(signer.public_key)
        assert model_manifest.hint(signer.public_key) == hashlib.sha256(pem).hexdigest()
        name = model_manifest.signer_name(signer.public_key)
        assert name == f"Registry key {hashlib.sha256(pem).hexdigest()[:16]}"


class TestTrustedKeys:
    def test_are_read_one_after_the_other(self):
        keys = [
            ec.generate_private_key(curve()).public_key() for curve in (ec.SECP256R1, ec.SECP384R1)
        ]
        assert trusted_keys(b"".join(map(public_pem, keys))) == keys

    @pytest.mark.parametrize(
        "pem",
        [b"", b"nothing", public_pem(ec.generate_private_key(ec.SECP224R1()).public_key())],
        ids=["nothing", "no key", "an odd curve"],
    )
    def test_are_never_none(self, pem):
        with pytest.raises(ValueError, match="public key"):
            trusted_keys(pem)
