"""Signed notes: what they look like, and what is no note of ours."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.common.signing import (
    BadNote,
    FileSigner,
    fingerprint,
    open_note,
    public_pem,
    read_public_keys,
    signed_note,
)

NAME = "portal.example/audit"
TEXT = "one\ntwo\n"


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


class TestFileSigner:
    def test_reads_a_key_on_p_256(self, tmp_path, signer):
        path = tmp_path / "key.pem"
        path.write_bytes(pem_of(signer.private))
        assert fingerprint(FileSigner.load(path).public_key) == fingerprint(signer.public_key)

    def test_refuses_another_curve(self, tmp_path):
        path = tmp_path / "key.pem"
        path.write_bytes(pem_of(ec.generate_private_key(ec.SECP384R1())))
        with pytest.raises(ValueError, match="on P-256"):
            FileSigner.load(path)


class TestReadPublicKeys:
    def test_reads_one_after_the_other(self, signer, other):
        keys = [signer.public_key, other.public_key]
        found = read_public_keys(b"".join(public_pem(key) for key in keys))
        assert [fingerprint(key) for key in found] == [fingerprint(key) for key in keys]
        assert read_public_keys(b"") == []

    def test_refuses_another_curve(self):
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        with pytest.raises(ValueError, match="on P-256"):
            read_public_keys(public_pem(key))
