"""The portal's chart as Helm renders it with its example, kept in tests/manifests/chart.yaml: so
what follows from it is tested where there is no Helm, too.

`python -m tests.delivery.chart` writes it anew, after a change of a template, the values or the
example. A change of values.schema.json renders nothing else.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from deploy.local.platform import programs

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "portal" / "chart"
EXAMPLE = CHART / "examples" / "eks.yaml"
RENDERED = ROOT / "tests" / "manifests" / "chart.yaml"
NAMESPACE = "quartermaster"
(HELM,) = (program for program in programs.DELIVERY if program.name == "helm")


class HelmRefused(Exception):
    """Helm ended with an error; the text is its own."""


def helm() -> Path | None:
    """Return the Helm that is built or given; None where there is none yet."""
    return (programs.sources(HELM, os.environ) or {}).get("helm")


def run(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run Helm and return what it printed. Raises HelmRefused."""
    program = helm()
    assert program is not None
    answer = subprocess.run(
        [str(program), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise HelmRefused(answer.stderr + answer.stdout)
    return answer.stdout


def render(*arguments: str, namespace: str = NAMESPACE, values: Path = EXAMPLE) -> str:
    """Return the chart with the example's values, or others, and what `arguments` say besides."""
    where = ("-n", namespace, "-f", str(values))
    return run("template", "quartermaster", str(CHART), *where, *arguments)


def example_without(*names: str) -> dict[str, Any]:
    """Return the example's values without some, each "secrets.REDIS_URL"."""
    values: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    for name in names:
        part, _, key = name.partition(".")
        values[part].pop(key, None)
    return values


def digest() -> str:
    """Return the digest of all that rendering depends on but Helm itself."""
    files = [CHART / "Chart.yaml", CHART / "values.yaml", EXAMPLE]
    files += sorted((CHART / "templates").iterdir())
    total = hashlib.sha256()
    for file in files:
        total.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def kept() -> list[dict[str, Any]]:
    """Return the objects that are kept, as Helm rendered them."""
    return [document for document in yaml.safe_load_all(RENDERED.read_text()) if document]


def of_kind(kind: str, objects: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the objects of a kind by their name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def written() -> str:
    """Return what RENDERED ought to hold."""
    return f"# sources: {digest()}\n{render()}"


if __name__ == "__main__":
    RENDERED.write_text(written())
