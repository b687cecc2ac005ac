"""Keys of AWS KMS: one that signs (ECC_NIST_P256, P384 or P521, usage SIGN_VERIFY), and one that
wraps data keys (SYMMETRIC_DEFAULT, usage ENCRYPT_DECRYPT).

The digest is made here and sent as MessageType DIGEST, so a message of any size is signed, and KMS
sees none. What comes back is ECDSA in DER; it is checked with the public key before anybody gets
it. boto3 reads credentials (IRSA in production) and AWS_ENDPOINT_URL_KMS from the environment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError

from apps.common.envelope import KEY_BYTES, MadeKey
from apps.common.signing import Kind, PublicKey, is_signed, prehashed, public_key_of
from apps.integrations.aws.client import REFUSALS
from apps.integrations.errors import NotFound, PermanentError, Refused, TemporaryError

CONNECT_TIMEOUT, READ_TIMEOUT, ATTEMPTS = 3, 10, 3
CONTEXT = "quartermaster"  # under which the encryption context says what a data key is for
ALGORITHMS = {
    "secp256r1": "ECDSA_SHA_256",
    "secp384r1": "ECDSA_SHA_384",
    "secp521r1": "ECDSA_SHA_512",
}
BUSY = frozenset(
    {
        "ThrottlingException",
        "LimitExceededException",
        "KeyUnavailableException",
        "DependencyTimeoutException",
        "KMSInternalException",
        "ServiceUnavailableException",
    }
)


class KmsSigner:
    """Signs with one key. key_id: its id, address (ARN) or alias."""

    kind = Kind.KMS

    def __init__(
        self,
        key_id: str,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.key_id = key_id
        self._kms = _client(connect_timeout, read_timeout, attempts)

    @cached_property
    def public_key(self) -> PublicKey:
        """Return its public half. Raises TemporaryError, or PermanentError for a key that does not
        sign with ECDSA.
        """
        with _translated(self.key_id):
            answer = self._kms.get_public_key(KeyId=self.key_id)
        try:
            key = public_key_of(bytes(answer["PublicKey"]))
        except (ValueError, KeyError) as error:
            raise PermanentError(
                f"The key {self.key_id} of KMS is no elliptic-curve key that signs."
            ) from error
        algorithm = ALGORITHMS[key.curve.name]
        if answer.get("KeyUsage") != "SIGN_VERIFY" or algorithm not in answer.get(
            "SigningAlgorithms", ()
        ):
            raise PermanentError(f"The key {self.key_id} of KMS does not sign with {algorithm}.")
        return key

    def sign(self, message: bytes) -> bytes:
        """Sign. Raises TemporaryError, or PermanentError where KMS refuses, or gives what this key
        has not made.
        """
        curve = self.public_key.curve.name
        _, digest = prehashed(curve=curve, message=message)
        with _translated(self.key_id):
            answer = self._kms.sign(
                KeyId=self.key_id,
                Message=digest,
                MessageType="DIGEST",
                SigningAlgorithm=ALGORITHMS[curve],
            )
        signature = bytes(answer.get("Signature", b""))
        if not is_signed(key=self.public_key, signature=signature, message=message):
            raise PermanentError(
                f"KMS answered with a signature that its key {self.key_id} did not make."
            )
        return signature


class KmsWrapper:
    """Has KMS make and unwrap data keys with one key. What a data key is for is its encryption
    context: KMS unwraps it for nothing else, and names it in CloudTrail.
    """

    def __init__(
        self,
        key_id: str,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        read_timeout: float = READ_TIMEOUT,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._key, self.key_id = key_id, f"kms/{key_id}"
        self._kms = _client(connect_timeout, read_timeout, attempts)

    def make_key(self, bound: str) -> MadeKey:
        """Return a new data key."""
        with _translated(self._key, "wrap"):
            answer = self._kms.generate_data_key(
                KeyId=self._key, KeySpec="AES_256", EncryptionContext={CONTEXT: bound}
            )
        return MadeKey(_data_key(answer, self._key), bytes(answer["CiphertextBlob"]))

    def unwrap(self, wrapped: bytes, bound: str) -> bytes:
        """Return a data key that this key wrapped for this."""
        with _translated(self._key, "unwrap"):
            answer = self._kms.decrypt(
                KeyId=self._key, CiphertextBlob=wrapped, EncryptionContext={CONTEXT: bound}
            )
        return _data_key(answer, self._key)


def _client(connect_timeout: float, read_timeout: float, attempts: int) -> Any:
    config = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
    )
    return boto3.session.Session().client("kms", config=config)


def _data_key(answer: Any, key_id: str) -> bytes:
    key = bytes(answer.get("Plaintext", b""))
    if len(key) != KEY_BYTES:
        raise PermanentError(f"KMS answered with no data key of {key_id}.")
    return key


@contextmanager
def _translated(key_id: str, doing: str = "sign") -> Iterator[None]:
    """Turn the SDK's errors into ours. doing: what the key was asked to do."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, key_id, doing) from error
    except NoCredentialsError as error:
        raise PermanentError(f"There is no AWS identity here to {doing} with.") from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise TemporaryError(f"KMS cannot be reached: {type(error).__name__}.") from error


def _refusal(error: ClientError, key_id: str, doing: str) -> Exception:
    said = error.response.get("Error", {})
    code, message = str(said.get("Code", "")), str(said.get("Message", ""))[:300]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in BUSY or status == 429 or status >= 500:
        return TemporaryError(f"KMS is busy: {code or status}.")
    if code == "NotFoundException":
        return NotFound(f"KMS has no key {key_id}.")
    if code in REFUSALS or status in (401, 403):
        words = f"KMS does not let us {doing} with {key_id}: {code}. {message}"
        return Refused(words.strip(), status=status)
    return PermanentError(f"KMS refused {key_id}: {code or status}. {message}".strip())
