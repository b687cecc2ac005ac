"""Keys of Vault's transit engine: one that signs (ecdsa-p256, -p384 or -p521), and one that wraps
data keys (aes256-gcm96).

The digest is made here (`prehashed`), so a message of any size is signed and Vault sees none; the
signature comes as ASN.1, which is DER. The key's version that this signer began with is named in
each call: where somebody rotates it, the public key here is still the one that signs.
"""

import base64
import binascii
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.common.envelope import KEY_BYTES, MadeKey
from apps.common.signing import Kind, PublicKey, is_signed, prehashed, public_key_of
from apps.integrations.errors import PermanentError
from apps.integrations.vault.client import Vault

MOUNT = "transit"
HASHES = {"SHA256": "sha2-256", "SHA384": "sha2-384", "SHA512": "sha2-512"}


@dataclass(frozen=True)
class _KeyVersion:
    number: int
    public_key: PublicKey


class TransitSigner:
    """Signs with the newest version of one key, as it was when it was first asked for."""

    kind = Kind.TRANSIT

    def __init__(self, vault: Vault, name: str, *, mount: str = MOUNT) -> None:
        self._vault, self._name, self._mount = vault, name, mount

    @property
    def key_id(self) -> str:
        """Return mount, name and version of the key."""
        return f"{self._mount}/{self._name}:v{self._version.number}"

    @property
    def public_key(self) -> PublicKey:
        """Return its public half. Raises TemporaryError, or PermanentError for a key that does not
        sign with ECDSA.
        """
        return self._version.public_key

    def sign(self, message: bytes) -> bytes:
        """Sign. Raises TemporaryError, or PermanentError where Vault refuses, or gives what this
        key has not made.
        """
        version = self._version
        algorithm, digest = prehashed(curve=version.public_key.curve.name, message=message)
        options = {
            "name": self._name,
            "hash_input": base64.b64encode(digest).decode(),
            "hash_algorithm": HASHES[algorithm],
            "prehashed": True,
            "marshaling_algorithm": "asn1",
            "mount_point": self._mount,
        }
        said = self._vault.call(
            self._what,
            lambda client: client.secrets.transit.sign_data(key_version=version.number, **options)[
                "data"
            ]["signature"],
        )
        signature = self._der(str(said), version.number)
        valid = self._vault.call(
            self._what,
            lambda client: client.secrets.transit.verify_signed_data(signature=said, **options)[
                "data"
            ]["valid"],
        )
        # Vault answers 200 also where a signature is wrong: only this very word means that it is
        # right. Our own check is the one that counts; the two never differ for one key.
        if valid is not True or not is_signed(
            key=version.public_key, signature=signature, message=message
        ):
            raise PermanentError(f"Vault answered with a signature that {self._what} did not make.")
        return signature

    @property
    def _what(self) -> str:
        return f"the key {self._mount}/{self._name}"

    @cached_property
    def _version(self) -> _KeyVersion:
        data: Any = self._vault.call(
            self._what,
            lambda client: client.secrets.transit.read_key(
                name=self._name, mount_point=self._mount
            )["data"],
        )
        try:
            number = int(data["latest_version"])
            key = public_key_of(str(data["keys"][str(number)]["public_key"]).encode())
        except (KeyError, TypeError, ValueError) as error:
            raise PermanentError(f"{self._what} is no elliptic-curve key that signs.") from error
        return _KeyVersion(number, key)

    def _der(self, said: str, number: int) -> bytes:
        """Return the signature of `vault:v<version>:<base64>`, of this version of the key."""
        marker, _, encoded = said.rpartition(":")
        try:
            if marker != f"vault:v{number}":
                raise ValueError(marker)
            return base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise PermanentError(
                f"Vault answered with no signature by version {number} of {self._what}."
            ) from error


class TransitWrapper:
    """Has Vault make and unwrap data keys with one key of its transit engine (aes256-gcm96). Vault
    keeps none of them: what is not kept wrapped elsewhere is gone.
    """

    def __init__(self, vault: Vault, name: str, *, mount: str = MOUNT) -> None:
        self._vault, self._name, self._mount = vault, name, mount

    @property
    def key_id(self) -> str:
        """Return mount and name of the key. Its version stands in what it wrapped."""
        return f"vault/{self._mount}/{self._name}"

    def make_key(self, bound: str) -> MadeKey:
        """Return a new data key. Vault binds nothing to it: `bound` is the caller's to check."""
        data: Any = self._vault.call(
            self._what,
            lambda client: client.secrets.transit.generate_data_key(
                name=self._name, key_type="plaintext", mount_point=self._mount
            )["data"],
        )
        return MadeKey(self._key_of(data), str(data["ciphertext"]).encode())

    def unwrap(self, wrapped: bytes, bound: str) -> bytes:
        """Return a data key that this key wrapped, with whichever of its versions."""
        data: Any = self._vault.call(
            self._what,
            lambda client: client.secrets.transit.decrypt_data(
                name=self._name, ciphertext=wrapped.decode(), mount_point=self._mount
            )["data"],
        )
        return self._key_of(data)

    @property
    def _what(self) -> str:
        return f"the key {self._mount}/{self._name}"

    def _key_of(self, data: Any) -> bytes:
        try:
            key = base64.b64decode(str(data["plaintext"]), validate=True)
        except (KeyError, binascii.Error) as error:
            raise PermanentError(f"Vault answered with no key of {self._what}.") from error
        if len(key) != KEY_BYTES:
            raise PermanentError(f"Vault answered with a key of {len(key)} bytes.")
        return key
