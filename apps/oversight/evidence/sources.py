"""What a pack is made of beside the database: the registry, the archive, the GitOps repository."""

from dataclasses import dataclass

from django.conf import settings

from apps.common.signing import FileSigner, public_pem
from apps.integrations.git import client as git
from apps.integrations.s3 import client as s3
from apps.integrations.s3.client import RegistryStore


@dataclass(frozen=True)
class Sources:
    """registry_keys: PEM after PEM, that may have signed models."""

    registry: RegistryStore
    archive: RegistryStore
    git: git.GitClient
    registry_keys: bytes


def sources_from_settings() -> Sources:
    """Return this deployment's."""
    return Sources(
        registry=s3.client_from_settings(),
        archive=s3.archive_from_settings(),
        git=git.client_from_settings(),
        registry_keys=public_pem(FileSigner.load(settings.SIGNING_KEY_FILE).public_key),
    )
