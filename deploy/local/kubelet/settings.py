"""What the kubelet was started with, and where it keeps things."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.engine.launcher import PROJECT

POD_RANGE = ipaddress.ip_network("10.231.0.0/16")
# What init containers get of this process's environment, and engines do not: the registry's
# read-only key.
REGISTRY_VARIABLES = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_CA_BUNDLE",
)
PASSED_VARIABLES = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "TZ",
    "MALLOC_ARENA_MAX",
    "QUARTERMASTER_STACK",
    "STAND_IN_TOKENS_PER_SECOND",
)


# What the product's own pods get, each under the name that the product knows it by: the credential
# of those that read the cluster, and what stands for the cluster's DNS.
POD_KUBECONFIG = "POD_KUBECONFIG"
CLUSTER_PROXY = "CLUSTER_HTTP_PROXY"


@dataclass(frozen=True)
class Settings:
    """Folders and paces; the paces are a kubelet's own and are shortened by tests."""

    folder: Path  # <state>/kubelet
    environment: Mapping[str, str] = field(default_factory=dict)
    crash_base: float = 10.0  # seconds of the first back-off; doubled each time
    crash_limit: float = 300.0
    crash_reset: float = 600.0  # a container that ran this long begins at the first back-off again
    first_probe: float = (
        # until a container was ready once it is asked this often, as engines here start in seconds
        1.0
    )

    @property
    def faults(self) -> Path:
        """Return the file with the rehearsals' orders."""
        return self.folder / "faults.json"

    @property
    def cache(self) -> Path:
        """Return the folder of verified model versions."""
        return self.folder / "models"

    def pod(self, uid: str) -> Path:
        """Return the folder of one pod's containers."""
        return self.folder / "pods" / uid

    def base_environment(self) -> dict[str, str]:
        """Return what every container gets of this process's environment."""
        kept = {
            name: self.environment[name] for name in PASSED_VARIABLES if name in self.environment
        }
        return {**kept, "PYTHONUNBUFFERED": "1"}

    def product_environment(self, reads_cluster: bool) -> dict[str, str]:
        """Return what a pod of the product gets beside that, in the place of what a cluster gives
        it.
        """
        given = {CLUSTER_PROXY: self.environment.get(CLUSTER_PROXY, "")}
        if reads_cluster:
            given["KUBECONFIG"] = self.environment.get(POD_KUBECONFIG, "")
        return {name: value for name, value in given.items() if value}

    def registry_environment(self) -> dict[str, str]:
        """Return what the init container gets beside that."""
        found = {
            name: self.environment[name] for name in REGISTRY_VARIABLES if name in self.environment
        }
        return {**found, "PYTHONPATH": str(PROJECT)}


def free_address(used: Collection[str]) -> str:
    """Return a pod address that no other pod has. It is an identity only: nothing listens there."""
    taken = set(used)
    return next(str(address) for address in POD_RANGE.hosts() if str(address) not in taken)
