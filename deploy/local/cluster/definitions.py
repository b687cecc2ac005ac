"""The custom resource definitions of the platform's parts, made ready for a small machine.

Third-party definitions come from the downloaded modules of their own releases; Envoy AI Gateway's,
which no module carries, are the project's own short ones in `crds/`. Descriptions are dropped: they
are most of the bytes, decide nothing, and the API server would keep several copies of them in
memory. Reading the large files takes a second and a hundred megabytes, so `compile_to` runs in a
process of its own (`python -m deploy.local.cluster.definitions`).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

OWN = Path(__file__).parent / "crds"

# Files in the modules, relative to the folder of each project. Karpenter's NodePool is the AWS
# provider's copy: it carries the rules on `karpenter.k8s.aws/` labels that a production cluster
# enforces.
FILES = {
    "kserve": (
        "config/crd/full/serving.kserve.io_inferenceservices.yaml",
        "config/crd/full/serving.kserve.io_servingruntimes.yaml",
        "config/crd/full/serving.kserve.io_clusterservingruntimes.yaml",
        "config/crd/full/serving.kserve.io_inferencegraphs.yaml",
        "config/crd/full/serving.kserve.io_trainedmodels.yaml",
        "config/crd/full/clusterstoragecontainer/serving.kserve.io_clusterstoragecontainers.yaml",
    ),
    "karpenter-aws": (
        "pkg/apis/crds/karpenter.sh_nodepools.yaml",
        "pkg/apis/crds/karpenter.sh_nodeclaims.yaml",
    ),
    "karpenter": ("kwok/apis/crds/karpenter.kwok.sh_kwoknodeclasses.yaml",),
    "kwok": ("kustomize/crd/bases/kwok.x-k8s.io_logs.yaml",),
    "argo-cd": (
        "manifests/crds/application-crd.yaml",
        "manifests/crds/appproject-crd.yaml",
    ),
    "keda": (
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "config/crd/bases/keda.sh_scaledjobs.yaml",
        "config/crd/bases/keda.sh_triggerauthentications.yaml",
        "config/crd/bases/keda.sh_clustertriggerauthentications.yaml",
        "config/crd/bases/eventing.keda.sh_cloudeventsources.yaml",
        "config/crd/bases/eventing.keda.sh_clustercloudeventsources.yaml",
    ),
    "gateway-api": (
        "config/crd/standard/gateway.networking.k8s.io_gatewayclasses.yaml",
        "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
    "envoy-gateway": tuple(
        f"charts/gateway-helm/charts/crds/crds/generated/gateway.envoyproxy.io_{plural}.yaml"
        for plural in (
            "backends",
            "backendtrafficpolicies",
            "clienttrafficpolicies",
            "envoyextensionpolicies",
            "envoyproxies",
            "securitypolicies",
        )
    ),
}


def sources(upstream: Path) -> list[Path]:
    """Return every definition file, third-party ones under `upstream`, in a fixed order."""
    found = [upstream / project / name for project, names in FILES.items() for name in names]
    return [*found, *sorted(OWN.glob("*.yaml"))]


def digest(upstream: Path) -> str:
    """Return a digest over the content of all definition files and of this module."""
    total = hashlib.sha256(Path(__file__).read_bytes())
    for path in sources(upstream):
        total.update(path.read_bytes())
    return total.hexdigest()


def without_descriptions(schema: Any) -> Any:
    """Return a schema without its descriptions; a *property* that is named `description` stays.

    Under `properties` keys are field names, everywhere else `description` with a text is
    documentation.
    """
    if isinstance(schema, list):
        return [without_descriptions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: without_descriptions(field) for name, field in value.items()}
        elif not (key == "description" and isinstance(value, str)):
            kept[key] = (
                value if key in ("default", "enum", "example") else without_descriptions(value)
            )
    return kept


def prepared(definition: dict[str, Any]) -> dict[str, Any]:
    """Return one definition as it is sent to the API server: lean schemas, no status, no conversion
    webhook.
    """
    spec = dict(definition["spec"])
    spec.pop("conversion", None)
    spec["versions"] = [
        version | {"schema": without_descriptions(version["schema"])}
        if "schema" in version
        else version
        for version in spec["versions"]
    ]
    metadata = {
        key: value for key, value in definition["metadata"].items() if key != "creationTimestamp"
    }
    return {
        "apiVersion": definition["apiVersion"],
        "kind": definition["kind"],
        "metadata": metadata,
        "spec": spec,
    }


def compile_to(upstream: Path, target: Path) -> None:
    """Write all definitions to `target`, one JSON object a line."""
    draft = target.with_suffix(".draft")
    with draft.open("w") as file:
        for path in sources(upstream):
            # the safe loader, in C
            for document in yaml.load_all(path.read_bytes(), yaml.CSafeLoader):  # noqa: S506
                if document:
                    file.write(json.dumps(prepared(document), separators=(",", ":")) + "\n")
    draft.replace(target)


def compiled(upstream: Path, folder: Path, python: str, root: Path) -> Path:
    """Return the file of prepared definitions for these sources, made in a separate process where
    it is missing.
    """
    target = folder / f"definitions-{digest(upstream)[:16]}.jsonl"
    if not target.exists():
        for stale in folder.glob("definitions-*"):
            stale.unlink()
        subprocess.run(  # noqa: S603 - our own module with paths of ours
            [python, "-m", "deploy.local.cluster.definitions", str(upstream), str(target)],
            cwd=root,
            check=True,
        )
    return target


if __name__ == "__main__":
    compile_to(Path(sys.argv[1]), Path(sys.argv[2]))
