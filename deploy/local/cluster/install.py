"""Puts the platform's objects into the cluster once the API server answers: definitions, then
everything else.

A ConfigMap in the cluster itself remembers digests of what was installed, so a second start asks
one question and is done, and a cluster that was wiped is filled again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import yaml

from deploy.local.cluster import (
    argocd,
    definitions,
    engine_key,
    keda,
    kserve,
    kubeconfigs,
    layout,
    probes,
)
from deploy.local.cluster.api import Api, ApiError, Json, path_of
from deploy.local.platform import upstream
from deploy.local.stack.part import Context

MANIFESTS = Path(__file__).parent / "manifests"
SHIPPED = (
    Path("deploy/argocd/platform/namespaces.yaml"),
    Path("deploy/portal/chart/templates/rbac.yaml"),
)
MARK = {"name": "quartermaster-installed", "namespace": "kube-system"}
ESTABLISHED_WITHIN_SECONDS = 120


def install(context: Context) -> None:
    """Bring the cluster's definitions and base objects to this checkout's; quick when they are
    already there.
    """
    releases = upstream.folder(context.env)
    pair = kubeconfigs.client_pair(context, "admin")
    trust = probes.tls(kubeconfigs.authority(context).pair.certificate, pair.certificate, pair.key)
    with Api(layout.address(context, "kube-apiserver"), trust) as api:
        done = _installed(api)
        wanted = {"definitions": definitions.digest(releases)}
        if done.get("definitions") != wanted["definitions"]:
            _install_definitions(api, context, releases)
        manifests = list(_objects(context, releases))
        wanted["objects"] = hashlib.sha256(
            json.dumps(manifests, sort_keys=True).encode()
        ).hexdigest()
        if done.get("objects") != wanted["objects"]:
            _each(manifests, api.apply)
        if done != wanted:
            api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": MARK, "data": wanted})


def _installed(api: Api) -> dict[str, str]:
    mark = api.find(path_of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": MARK}))
    return dict(mark["data"]) if mark else {}


def _install_definitions(api: Api, context: Context, releases: Path) -> None:
    lines = definitions.compiled(
        releases, layout.folder(context, "definitions"), context.python, context.root
    )
    kinds = []
    with lines.open() as file:
        for line in file:
            definition = json.loads(line)
            api.replace(definition)
            spec = definition["spec"]
            kinds += [
                (spec["group"], version["name"], spec["names"]["plural"])
                for version in spec["versions"]
            ]
    for kind in kinds:
        _wait_until(partial(api.serves, *kind))


def _wait_until(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + ESTABLISHED_WITHIN_SECONDS
    while not is_true():
        if time.monotonic() > until:
            raise TimeoutError(
                f"the API server did not take the definitions in {ESTABLISHED_WITHIN_SECONDS} s"
            )
        time.sleep(0.2)


def _objects(context: Context, releases: Path) -> Iterator[Json]:
    """Yield every base object, in an order in which each can be applied."""
    files = [MANIFESTS / "namespaces.yaml", *(context.root / path for path in SHIPPED)]
    for path in [*files, *sorted((MANIFESTS / "rbac").glob("*.yaml"))]:
        yield from yaml.safe_load_all(path.read_text())
    yield from kserve.objects(context, releases / "kserve")
    yield from argocd.objects(context)
    yield from keda.objects(context)
    yield from engine_key.objects(context)


def _each(manifests: Iterable[Json], apply: Callable[[Json], None]) -> None:
    """Apply each manifest; a kind whose definition is a moment old may need a second try."""
    for manifest in manifests:
        for attempts_left in (3, 2, 1, 0):
            try:
                apply(manifest)
                break
            except ApiError as problem:
                if problem.status != 404 or not attempts_left:
                    name = f"{manifest['kind']} {manifest['metadata']['name']}"
                    raise ApiError(problem.status, f"{name}: {problem}") from problem
                time.sleep(1)
