"""A stack's Context for tests of the local cluster: a folder of the test, and ports that nobody
opens.
"""

from pathlib import Path

from deploy.local.stack.part import Context

ROOT = Path(__file__).parents[2]


def cluster_context(state: Path, **env: str) -> Context:
    """Return a Context whose state lies in `state` and whose ports are the preferred ones."""
    return Context(
        root=ROOT,
        state=state,
        binaries=state / "bin",
        python="python3",
        ports=lambda name, preferred: preferred,
        env=env,
    )
