"""LiteLLM's proxy, in an environment of its own (.venv-litellm), with one worker.

Its virtual keys, and with them its budgets, want a database engine (Prisma's) that is fetched from
the network when it first starts. Where it cannot be had the proxy runs with a master key and no
database: it then counts no budget, which is told beside its figures.
"""

import json
import os
from pathlib import Path

PROGRAM = Path(".venv-litellm/bin/litellm")
KEY = "sk-bench"
MODEL = "model-100"
NO_BUDGET = "LiteLLM ran with a master key and no database: it checked no budget"


def is_installed() -> bool:
    """Tell whether its environment is there."""
    return PROGRAM.exists()


def command(folder: Path, *, port: int, stub: int) -> tuple[list[str], dict[str, str]]:
    """Return how it is started, and its environment. folder: where its settings are written."""
    model = {"model": "hosted_vllm/m-v1", "api_base": f"http://127.0.0.1:{stub}/v1"}
    config = {
        "model_list": [{"model_name": MODEL, "litellm_params": {**model, "api_key": "none"}}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    path = folder / "litellm.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    words = [str(PROGRAM.resolve()), "--config", str(path), "--host", "127.0.0.1"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the network for prices
        "LITELLM_LOG": "ERROR",
        "NO_DOCS": "True",
    }
    return [*words, "--port", str(port), "--num_workers", "1"], environment
