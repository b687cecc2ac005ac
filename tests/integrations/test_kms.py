"""AWS KMS, on our double of it: the SDK's calls, digests signed as they are, errors by kind."""

import hashlib

import boto3
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from apps.common.signing import is_signed
from apps.integrations.aws.kms import KmsSigner, KmsWrapper
from apps.integrations.errors import NotFound, PermanentError, Refused, TemporaryError
from deploy.local.doubles.aws.kms import KmsDouble
from tests.integrations.test_aws import serving
from tests.integrations.test_vault import verifies_with_the_public_tool


@pytest.fixture
def kms():
    return KmsDouble()


@pytest.fixture(autouse=True)
def address(kms, monkeypatch):
    with serving(kms) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
        yield url


def signer(key, **options) -> KmsSigner:
    return KmsSigner(key, attempts=1, **options)


class TestKmsSigner:
    @pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"])
    def test_makes_what_the_public_key_verifies(self, kms, spec):
        one, other = kms.add_key(spec), kms.add_key(spec)
        message = b"x" * 10_000  # more than KMS takes: only its digest is sent
        signature = signer(one.arn).sign(message)
        assert is_signed(key=one.private.public_key(), signature=signature, message=message)
        assert not is_signed(key=other.private.public_key(), signature=signature, message=message)
        operations = [name for name, _ in kms.asked]
        assert operations == ["GetPublicKey", "Sign"]
        assert kms.asked[1][1]["MessageType"] == "DIGEST"

    @pytest.mark.parametrize("named", ["id", "arn", "alias/registry"])
    def test_takes_a_key_by_id_address_or_alias(self, kms, named):
        kms.add_key()
        key = kms.add_key(alias="registry")
        one = signer(getattr(key, named, named))
        assert one.public_key == key.private.public_key()
        assert is_signed(key=one.public_key, signature=one.sign(b"m"), message=b"m")
        assert one.kind == "KMS"

    def test_bundle_verifies_with_the_public_tool(self, kms, tmp_path):
        verifies_with_the_public_tool(signer(kms.add_key().arn), tmp_path)

    def test_believes_no_signature_of_another_key(self, kms):
        kms.lies = True
        with pytest.raises(PermanentError, match="did not make"):
            signer(kms.add_key().arn).sign(b"m")

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (400, "ThrottlingException", TemporaryError),
            (500, "KeyUnavailableException", TemporaryError),
            (503, "DependencyTimeoutException", TemporaryError),
            (500, "KMSInternalException", TemporaryError),
            (400, "AccessDeniedException", Refused),
            (400, "NotFoundException", NotFound),
            (400, "DisabledException", PermanentError),
            (400, "KMSInvalidStateException", PermanentError),
            (400, "InvalidKeyUsageException", PermanentError),
        ],
    )
    def test_error_says_whether_to_try_again(self, kms, status, code, kind):
        one = signer(kms.add_key().arn)
        _ = one.public_key
        kms.fail_next((status, code))
        with pytest.raises(kind) as found:
            one.sign(b"m")
        assert type(found.value) is kind
        assert one.sign(b"m")

    @pytest.mark.parametrize(
        ("state", "words"), [("Disabled", "DisabledException"), ("PendingDeletion", "InvalidState")]
    )
    def test_key_that_was_disabled_does_not_sign(self, kms, state, words):
        key = kms.add_key()
        one = signer(key.arn)
        assert one.sign(b"m")
        key.state = state
        with pytest.raises(PermanentError, match=words):
            one.sign(b"m")

    def test_key_for_something_else_is_none(self, kms):
        key = kms.add_key()
        key.usage = "KEY_AGREEMENT"
        with pytest.raises(PermanentError, match="does not sign with ECDSA_SHA_256"):
            _ = signer(key.arn).public_key

    def test_waits_while_kms_is_away(self, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
        with pytest.raises(TemporaryError, match="KMS cannot be reached"):
            _ = signer("a-key", connect_timeout=0.2).public_key


class TestTheDouble:
    """What others get wrong: the double has to keep AWS's contract to be a judge."""

    @pytest.fixture
    def client(self):
        return boto3.client("kms")

    def ask(self, client, key, **more):
        digest = hashlib.sha256(b"m").digest()
        asked = {"Message": digest, "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}
        return client.sign(KeyId=key.arn, **(asked | more))

    def test_signs_a_digest_as_it_is_and_a_message_once_hashed(self, kms, client):
        key = kms.add_key()
        public = key.private.public_key()
        for more in ({}, {"Message": b"m", "MessageType": "RAW"}):
            signature = self.ask(client, key, **more)["Signature"]
            public.verify(signature, b"m", ec.ECDSA(hashes.SHA256()))
            with pytest.raises(InvalidSignature):
                digest = hashlib.sha256(b"m").digest()
                public.verify(signature, digest, ec.ECDSA(hashes.SHA256()))

    @pytest.mark.parametrize(
        ("more", "code"),
        [
            ({"Message": b"m" * 31}, "ValidationException"),
            ({"Message": b"m" * 33}, "ValidationException"),
            ({"Message": b"m" * 4097, "MessageType": "RAW"}, "ValidationException"),
            ({"SigningAlgorithm": "ECDSA_SHA_384"}, "InvalidKeyUsageException"),
            ({"DryRun": True}, "DryRunOperationException"),
        ],
    )
    def test_refuses_what_aws_refuses(self, kms, client, more, code):
        with pytest.raises(client.exceptions.ClientError) as found:
            self.ask(client, kms.add_key(), **more)
        assert found.value.response["Error"]["Code"] == code

    def test_calls_a_wrong_signature_an_error(self, kms, client):
        one, other = kms.add_key(), kms.add_key()
        asked = {
            "Message": hashlib.sha256(b"m").digest(), "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256", "Signature": self.ask(client, one)["Signature"],
        }  # fmt: skip
        assert client.verify(KeyId=one.arn, **asked)["SignatureValid"] is True
        with pytest.raises(client.exceptions.KMSInvalidSignatureException):
            client.verify(KeyId=other.arn, **asked)


def wrapper(key) -> KmsWrapper:
    return KmsWrapper(key.arn, attempts=1)


class TestKmsWrapper:
    def test_makes_keys_that_it_unwraps_for_what_they_are_for(self, kms):
        one = wrapper(kms.add_wrapping_key())
        made, other = one.make_key("prompt-record/a"), one.make_key("prompt-record/a")
        assert made.plain != other.plain and len(made.plain) == 32
        assert made.plain not in made.wrapped
        assert one.unwrap(made.wrapped, "prompt-record/a") == made.plain
        assert kms.asked[0][1]["EncryptionContext"] == {"quartermaster": "prompt-record/a"}
        assert one.key_id.startswith("kms/arn:")

    def test_unwraps_nothing_for_something_else_or_of_another_key(self, kms):
        one, other = wrapper(kms.add_wrapping_key()), wrapper(kms.add_wrapping_key())
        made = one.make_key("prompt-record/a")
        for who, bound in ((one, "prompt-record/b"), (other, "prompt-record/a")):
            with pytest.raises(PermanentError, match="InvalidCiphertext"):
                who.unwrap(made.wrapped, bound)

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (400, "ThrottlingException", TemporaryError),
            (500, "KMSInternalException", TemporaryError),
            (400, "AccessDeniedException", Refused),
            (400, "NotFoundException", NotFound),
            (400, "DisabledException", PermanentError),
        ],
    )
    def test_error_says_whether_to_try_again(self, kms, status, code, kind):
        one = wrapper(kms.add_wrapping_key())
        kms.fail_next((status, code))
        with pytest.raises(kind):
            one.make_key("a")

    def test_is_refused_by_a_key_that_signs(self, kms):
        with pytest.raises(PermanentError, match="InvalidKeyUsage"):
            wrapper(kms.add_key()).make_key("a")
