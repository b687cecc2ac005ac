"""Several models at once, over the API as pipelines use it: registered, published, measured,
granted and rolled out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import httpx

from deploy.local.stack.sign_in import Refused
from deploy.local.stack.testing import Stack
from tests.story import delivering
from tests.story.delivering import AWAY, Desk, until

MODELS = ("triage-notes", "coverage-letters", "claim-summaries")
TEAM = "claims-review"


class PatientDesk(Desk):
    """A persona at the API who asks again while something on the way is away."""

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return super()._send(method, path, body)
            except (*AWAY, Refused, OSError, ValueError, httpx.HTTPStatusError):
                if method != "GET" or time.monotonic() > deadline:
                    raise
            time.sleep(0.5)


def small_weights(stack: Stack, folder: Path) -> Path:
    """Make a folder with the sample's settings and one number for weights: the stand-in reads no
    more.
    """
    sample = Path(stack.part("sample-weights")["address"]) / "smollm2"
    folder.mkdir(parents=True)
    for name in (
        "README.md",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ):
        shutil.copyfile(sample / name, folder / name)
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + b"\0" * 4
    )
    return folder


def register(owner: Desk, model: str) -> None:
    """Register a model."""
    words = {"name": model, "title": model, "description": "One of three that change at "
    "once.", "task": "Summarization",
             "family": "SmolLM2", "parameter_count": 134_515_008, "context_length": 2048,
             "license": "Apache-2.0",
             "data_class": "PUBLIC"}  # fmt: skip
    owner.post("/models", words)


def publish(owner: Desk, model: str, folder: Path) -> int:
    """Publish a folder as a new version and return its number, once it is verified."""
    files = sorted(folder.iterdir())
    declared = [
        {
            "name": file.name,
            "size": file.stat().st_size,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in files
    ]
    opened = owner.post(f"/models/{model}/versions", {"note": "Small.", "files": declared})
    path = f"/models/{model}/versions/{opened['number']}"
    for file in files:
        _upload(owner, f"{path}/files/{file.name}", file.read_bytes(), opened["part_size"])
    owner.post(f"{path}/finish")
    look = lambda: owner.get(path)  # noqa: E731
    until(
        look,
        lambda row: row["status"] == "VERIFIED",
        seconds=owner.patience,
        what=f"{model} verified",
    )
    return int(opened["number"])


def _upload(owner: Desk, path: str, body: bytes, part_size: int) -> None:
    headers = {"Authorization": f"Bearer {owner.stack.token(owner.persona, 'quartermaster-api')}"}
    for part, start in enumerate(range(0, len(body), part_size), start=1):
        url = f"{owner.stack.portal}/api/v1{path}?part={part}"
        chunk = body[start : start + part_size]
        httpx.put(
            url, content=chunk, headers=headers, timeout=60, trust_env=False
        ).raise_for_status()


def two_passing_versions(owner: Desk, model: str, folder: Path) -> None:
    """Give a model two versions that passed their evaluation."""
    register(owner, model)
    numbers = [publish(owner, model, folder) for _ in range(2)]
    runs = [delivering.start_evaluation(owner, number, model) for number in numbers]
    for run in runs:
        delivering.wait_evaluated(owner, run)
