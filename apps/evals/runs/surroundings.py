"""What a pass over an evaluation run works with, and how one ends that cannot go on."""

from collections.abc import Callable
from dataclasses import dataclass

from apps.evals.runs.costs import Price
from apps.integrations.engine.client import EngineClient
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.s3.client import RegistryStore


@dataclass(frozen=True)
class Surroundings:
    """What a pass works with."""

    git: GitClient
    # made late: a run is committed even while the cluster is away
    cluster: Callable[[], KubernetesReader]
    engine: Callable[[str], EngineClient]  # base address → client
    registry: Callable[[], RegistryStore]
    price: Price
    bucket: str
    image: str
    role_arn: str
    s3_endpoint: str
    application: str
    argocd_namespace: str
    start_seconds: int  # how long the kubelet lets an engine load
    retention_days: int  # for how long the registry locks a report


class CannotRun(Exception):
    """The run has to end with an error."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
