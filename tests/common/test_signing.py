"""Signed notes: what they look like, and what is no note of ours."""

import base64
import hashlib
from functools import partial

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from apps.common.signing import (
    P256,
    BadNote,
    FileSigner,
    fingerprint,
    is_signed,
    open_note,
    public_pem,
    read_public_keys,
    signed_note,
)

NAME = "portal.example/audit"
TEXT = "one\ntwo\n"
HASHES = {ec.SECP256R1: hashes.SHA256, ec.SECP384R1: hashes.SHA384, ec.SECP521R1: hashes.SHA512}


def new_signer():
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


def pem_of(private):
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def signer():
    return new_signer()


@pytest.fixture(scope="module")
def other():
    return new_signer()


class TestSignedNote:
    def test_has_the_text_an_empty_line_and_the_signature_with_its_key_id(self, signer):
        note = signed_note(TEXT, name=NAME, signer=signer)
        text, _, line = note.partition("\n\n")
        assert text + "\n" == TEXT
        dash, name, encoded = line.rstrip("\n").split(" ")
        spki = signer.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert (dash, name) == ("\u2014", NAME)
        assert base64.b64decode(encoded)[:4] == hashlib.sha256(spki).digest()[:4]
        assert fingerprint(signer.public_key) == hashlib.sha256(spki).hexdigest()
        assert open_note(note, name=NAME, keys=[signer.public_key]) == TEXT

    @pytest.mark.parametrize(
        ("text", "name"),
        [("no end", NAME), ("a\n\nb\n", NAME), (TEXT, "two words"), (TEXT, "a+b")],
    )
    def test_refuses_what_a_note_cannot_hold(self, signer, text, name):
        with pytest.raises(ValueError, match="ends in a new line"):
            signed_note(text, name=name, signer=signer)

    def test_is_signed_on_p_256_alone(self):
        signer = FileSigner(ec.generate_private_key(ec.SECP384R1()))
        with pytest.raises(ValueError, match="on P-256"):
            signed_note(TEXT, name=NAME, signer=signer)


class TestOpenNote:
    def test_takes_any_of_the_trusted_keys_and_ignores_strangers(self, signer, other):
        note = signed_note(TEXT, name=NAME, signer=signer)
        stranger = signed_note(TEXT, name="witness.example", signer=other).partition("\n\n")[2]
        both = note + stranger
        assert open_note(both, name=NAME, keys=[other.public_key, signer.public_key]) == TEXT

    def test_refuses_a_changed_text(self, signer):
        note = signed_note(TEXT, name=NAME, signer=signer).replace("one", "ten")
        with pytest.raises(BadNote, match="not signed by portal.example/audit, though"):
            open_note(note, name=NAME, keys=[signer.public_key])

    def test_refuses_what_only_strangers_signed(self, signer, other):
        for name, key in [(NAME, other.public_key), ("else.example", signer.public_key)]:
            note = signed_note(TEXT, name=NAME, signer=signer)
            with pytest.raises(BadNote, match="No trusted key"):
                open_note(note, name=name, keys=[key])

    @pytest.mark.parametrize(
        "note",
        ["", "text\n", "text\n\nno end", "text\n\n", "t\n\n\u2014 a\n", "t\n\n\u2014 a b!\n",
         "t\n\n- a AAAAAAAA\n", "t\n\n\u2014 a AAAA\n"],
    )  # fmt: skip
    def test_refuses_what_is_no_note(self, signer, note):
        with pytest.raises(BadNote):
            open_note(note, name=NAME, keys=[signer.public_key])


@pytest.fixture
def stored(tmp_path):
    """Write a private key to a file; return its path."""

    def store(private):
        path = tmp_path / "key.pem"
        path.write_bytes(pem_of(private))
        return path

    return store


class TestFileSigner:
    @pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
    def test_reads_a_key_and_signs_with_the_hash_of_its_curve(self, stored, curve):
        private = ec.generate_private_key(curve())
        loaded = FileSigner.load(stored(private))
        assert fingerprint(loaded.public_key) == fingerprint(private.public_key())
        key, signature = loaded.public_key, loaded.sign(b"message")
        key.verify(signature, b"message", ec.ECDSA(HASHES[curve]()))
        assert is_signed(key=key, signature=signature, message=b"message")
        assert not is_signed(key=key, signature=signature, message=b"massage")

    @pytest.mark.parametrize(
        "other",
        [ed25519.Ed25519PrivateKey.generate, partial(ec.generate_private_key, ec.SECP224R1())],
    )
    def test_refuses_other_keys(self, stored, other):
        with pytest.raises(ValueError, match="on P-256 or P-384 or P-521"):
            FileSigner.load(stored(other()))

    def test_refuses_a_curve_that_is_not_wanted(self, stored):
        private = ec.generate_private_key(ec.SECP384R1())
        with pytest.raises(ValueError, match="private key on P-256$"):
            FileSigner.load(stored(private), curves=[P256])


class TestReadPublicKeys:
    def test_reads_one_after_the_other(self, signer, other):
        keys = [signer.public_key, other.public_key]
        found = read_public_keys(b"".join(public_pem(key) for key in keys))
        assert [fingerprint(key) for key in found] == [fingerprint(key) for key in keys]
        assert read_public_keys(b"") == []

    def test_refuses_a_curve_that_is_not_wanted(self):
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        assert len(read_public_keys(public_pem(key))) == 1
        with pytest.raises(ValueError, match="on P-256$"):
            read_public_keys(public_pem(key), curves=[P256])
