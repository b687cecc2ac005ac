"""What a pack is made of beside the database: the registry, the archive, the GitOps repository."""

from dataclasses import dataclass

from apps.integrations.git import client as git
from apps.integrations.s3 import client as s3
from apps.integrations.s3.client import RegistryStore


@dataclass(frozen=True)
class Sources:
    """Where each of them is."""

    registry: RegistryStore
    archive: RegistryStore
    git: git.GitClient


def sources_from_settings() -> Sources:
    """Return this deployment's."""
    return Sources(
        registry=s3.client_from_settings(),
        archive=s3.archive_from_settings(),
        git=git.client_from_settings(),
    )
