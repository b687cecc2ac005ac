"""Who has which half of the record's key."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from apps.audit.sealing.keeper import Keeper
from apps.audit.sealing.keys import keys_from_settings
from apps.common.signing import fingerprint, public_pem


@pytest.fixture
def public(tmp_path, settings):
    """Have the public keys in a file of this test's."""

    def write(*keys):
        path = tmp_path / "public.pem"
        path.write_bytes(b"".join(public_pem(key) for key in keys))
        settings.AUDIT_PUBLIC_KEYS_FILE = str(path)

    return write


@pytest.fixture
def private(tmp_path, settings):
    """A private key, in the file that the sealer reads."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path / "private.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
    settings.AUDIT_SIGNING_KEY_FILE = str(path)
    return key


def new_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve()).public_key()


class TestKeysFromSettings:
    def test_need_no_private_key(self, public, settings):
        settings.AUDIT_SIGNING_KEY_FILE = ""
        now, before = new_key(), new_key()
        public(now, before)
        assert [fingerprint(key) for key in keys_from_settings()] == [
            fingerprint(now), fingerprint(before),
        ]  # fmt: skip

    def test_are_keys_and_of_the_right_curve(self, public):
        public()
        with pytest.raises(ValueError, match="holds no public key"):
            keys_from_settings()
        public(new_key(ec.SECP384R1))
        with pytest.raises(ValueError, match="on P-256"):
            keys_from_settings()


class TestKeeper:
    def test_signs_with_a_key_that_others_believe(self, public, private):
        public(new_key(), private.public_key())
        signer = Keeper.from_settings().signer
        assert fingerprint(signer.public_key) == fingerprint(private.public_key())

    def test_does_not_start_where_nobody_would_believe_it(self, public, private):
        public(new_key())
        with pytest.raises(ValueError, match="AUDIT_PUBLIC_KEYS_FILE must hold the public key"):
            Keeper.from_settings()

    def test_does_not_start_without_the_private_key(self, settings):
        settings.AUDIT_SIGNING_KEY_FILE = ""
        with pytest.raises(ValueError, match="AUDIT_SIGNING_KEY_FILE is not set"):
            Keeper.from_settings()
