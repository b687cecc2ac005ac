"""The offline verifier's own arithmetic, held against the library's."""

import base64
import hashlib
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from apps.common.signing import FileSigner, fingerprint, public_pem
from tests.audit.offline import FOLDER, KEYS

ORDER = KEYS.ORDER


def der_of(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.DER, form)


@pytest.fixture(scope="module")
def signer():
    return FileSigner(ec.generate_private_key(ec.SECP256R1()))


class TestSignedOnP256:
    def test_agrees_with_the_library_on_many_keys_and_messages(self):
        for number in range(12):
            signer = FileSigner(ec.derive_private_key(ORDER // 3 + number, ec.SECP256R1()))
            message = hashlib.sha256(bytes([number])).digest() * number
            der, signature = der_of(signer.public_key), signer.sign(message)
            assert KEYS.signed_on_p256(der, signature, message)
            assert not KEYS.signed_on_p256(der, signature, message + b"!")

    def test_knows_the_smallest_keys(self):
        for secret in (1, 2, 3, ORDER - 1):
            signer = FileSigner(ec.derive_private_key(secret, ec.SECP256R1()))
            signature = signer.sign(b"message")
            assert KEYS.signed_on_p256(der_of(signer.public_key), signature, b"message")

    def test_refuses_what_the_library_refuses(self, signer):
        der, good = der_of(signer.public_key), signer.sign(b"message")
        r, s = decode_dss_signature(good)
        pairs = [(0, s), (r, 0), (ORDER, s), (r, ORDER), (r + ORDER, s), (s, r), (r, s ^ 1)]
        changed = [encode_dss_signature(*pair) for pair in pairs]
        for signature in (*changed, b"", good[:-1], good + b"\0", b"\x30\x06\x02\x01\x01"):
            assert not KEYS.signed_on_p256(der, signature, b"message")
            assert not KEYS.Key(der).signed(signature, b"message")

    def test_refuses_keys_that_are_none(self, signer):
        der = der_of(signer.public_key)
        off_curve = der[:-1] + bytes([der[-1] ^ 1])
        larger = der_of(ec.generate_private_key(ec.SECP384R1()).public_key())
        for other, words in ((off_curve, "no point"), (larger, "P-256"), (der[:-1], "P-256")):
            with pytest.raises(KEYS.Unreadable, match=words):
                KEYS.signed_on_p256(other, signer.sign(b"m"), b"m")


class TestKey:
    def test_is_called_as_the_portal_calls_it(self, signer):
        key = KEYS.keys_in(public_pem(signer.public_key))[0]
        assert key.fingerprint == fingerprint(signer.public_key)
        assert key.pem == public_pem(signer.public_key)

    @pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1])
    def test_is_checked_with_the_hash_of_its_curve_where_the_library_is_there(self, curve):
        signer = FileSigner(ec.generate_private_key(curve()))
        key = KEYS.keys_in(public_pem(signer.public_key))[0]
        assert key.signed(signer.sign(b"m"), b"m")
        assert not key.signed(signer.sign(b"m"), b"n")
        if curve is not ec.SECP256R1:
            wrong = signer.private.sign(b"m", ec.ECDSA(hashes.SHA256()))
            assert not key.signed(wrong, b"m")

    def test_needs_nothing_but_python(self, signer):
        """-S leaves every installed package out, as a machine that has only Python does."""
        der, signature = der_of(signer.public_key), signer.sign(b"m")
        asked = (
            f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import base64, keys; "
            f"assert not keys.HAS_CRYPTOGRAPHY; "
            f"key = keys.Key(base64.b64decode({base64.b64encode(der)!r})); "
            f"signature = base64.b64decode({base64.b64encode(signature)!r}); "
            "print(key.signed(signature, b'm'), key.signed(signature, b'n'))"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", asked], capture_output=True, text=True
        )
        assert (done.stdout, done.stderr) == ("True False\n", "")
