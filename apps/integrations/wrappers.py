"""The key that wraps the data keys of the prompt record, as the settings name it: a file, a key of
KMS, or of Vault's transit.
"""

from pathlib import Path

from django.conf import settings

from apps.common.envelope import FileWrapper, Wrapper
from apps.integrations.aws.kms import KmsWrapper
from apps.integrations.signers import named, tokens
from apps.integrations.vault.client import Vault
from apps.integrations.vault.transit import TransitWrapper

SECONDS = 2.0  # a call may wait for this at the gateway


def prompt_wrapper(*, seconds: float = SECONDS) -> Wrapper:
    """Return what wraps data keys; no service is asked yet. seconds: the longest that one call to
    it takes. Raises ValueError where the settings name none, or its file holds none.
    """
    if settings.PROMPT_KEYS == "file":
        return FileWrapper.load(Path(named("PROMPT_KEY_FILE")))
    if settings.PROMPT_KEYS == "kms":
        return KmsWrapper(
            named("PROMPT_KMS_KEY"), connect_timeout=seconds, read_timeout=seconds, attempts=1
        )
    vault = Vault(
        named("VAULT_ADDR"), tokens(), namespace=settings.VAULT_NAMESPACE, timeout=seconds
    )
    return TransitWrapper(vault, named("PROMPT_TRANSIT_KEY"), mount=settings.VAULT_TRANSIT_MOUNT)
