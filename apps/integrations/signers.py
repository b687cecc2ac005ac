"""The keys that this deployment signs with, as the settings name them: one for the registry's
manifests, one for the record's checkpoints. Each is a file, a key of KMS, or of Vault's transit.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from django.conf import settings

from apps.common.signing import FileSigner, Kind, PublicKey, Signer
from apps.integrations.aws.kms import KmsSigner
from apps.integrations.vault.client import FileTokens, KubernetesTokens, Tokens, Vault
from apps.integrations.vault.transit import TransitSigner


class Lazily:
    """A signer that is made when it is first needed: a service that holds the key may be away until
    then. What its making raises, whoever needs it gets, and the next one tries again.
    """

    def __init__(self, make: Callable[[], Signer]) -> None:
        self._make = make

    @property
    def kind(self) -> str:
        """Return where the private key is."""
        return self._signer.kind

    @property
    def key_id(self) -> str:
        """Return what the key is called there."""
        return self._signer.key_id

    @property
    def public_key(self) -> PublicKey:
        """Return its public half."""
        return self._signer.public_key

    def sign(self, message: bytes) -> bytes:
        """Sign."""
        return self._signer.sign(message)

    @cached_property
    def _signer(self) -> Signer:
        return self._make()


def registry_signer() -> Signer:
    """Return the key that signs manifests; no service is asked yet. Raises ValueError where the
    settings name none, or its file holds none.
    """
    return _signer(settings.SIGNER, "SIGNING_KEY_FILE", "SIGNING_KMS_KEY", "SIGNING_TRANSIT_KEY")


def record_signer() -> Signer:
    """Return the key that signs checkpoints of the record; no service is asked yet. Raises
    ValueError where the settings name none, or its file holds none.
    """
    return _signer(
        settings.AUDIT_SIGNER, "AUDIT_SIGNING_KEY_FILE", "AUDIT_KMS_KEY", "AUDIT_TRANSIT_KEY"
    )


def _signer(kind: str, file: str, kms: str, transit: str) -> Signer:
    """Return the signer of a kind; the other words are the variables that name its key."""
    if kind == Kind.FILE:
        return FileSigner.load(named(file))
    if kind == Kind.KMS:
        return KmsSigner(named(kms))
    vault = Vault(named("VAULT_ADDR"), tokens(), namespace=settings.VAULT_NAMESPACE)
    return TransitSigner(vault, named(transit), mount=settings.VAULT_TRANSIT_MOUNT)


def tokens() -> Tokens:
    """Return who asks Vault, as the settings say. Raises ValueError where they do not."""
    if settings.VAULT_TOKEN_FILE:
        return FileTokens(settings.VAULT_TOKEN_FILE)
    if not settings.VAULT_ROLE:
        raise ValueError("VAULT_TOKEN_FILE or VAULT_ROLE must be set: who asks Vault")
    return KubernetesTokens(
        settings.VAULT_ROLE,
        mount=settings.VAULT_AUTH_MOUNT,
        jwt=Path(settings.VAULT_JWT_FILE),
    )


def named(variable: str) -> str:
    """Return a variable that must be set here. Raises ValueError."""
    value = str(getattr(settings, variable))
    if not value:
        raise ValueError(f"{variable} is not set, and this process needs what it names")
    return value
