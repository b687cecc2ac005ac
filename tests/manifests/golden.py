"""Everything that the portal commits, as one text (`rendered.yaml` beside this), so that no line of
it changes unread. `python -m tests.manifests.golden` writes it anew; read the difference.
"""

from dataclasses import replace
from pathlib import Path

import tests.environment  # noqa: F401 (sets what the settings need)
from apps.manifests import serving
from apps.manifests.capacity import Budget, NodeClassRef, NodePool, node_pool
from apps.manifests.text import to_yaml
from tests.manifests.objects import VERSION, rendered

FILE = Path(__file__).with_name("rendered.yaml")
POOL = NodePool(
    name="gpu-inference",
    node_class=NodeClassRef("karpenter.k8s.aws", "EC2NodeClass", "gpu"),
    families=("g5", "g6"),
    gpus=64,
    budgets=(Budget("100%", ("Empty",)), Budget("1", (), "0 8 * * 1", "10h")),
    cpu=1000,
    memory_gib=4000,
)
CANDIDATE = replace(VERSION, name="prior-auth-extract-v7-0c1d2e3f", namespace="evals")


def text() -> str:
    """Return one of everything, as it is written to Git."""
    return to_yaml([*rendered(), serving.inference_service(CANDIDATE), node_pool(POOL)]).decode()


if __name__ == "__main__":
    FILE.write_text(text())
