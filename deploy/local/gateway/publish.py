"""Writes the tables for Envoy and the rate limit service, in an order in which no call can fail.

Counters first, then clusters (the new ones beside those still routed to), then listener and routes;
clusters that nothing routes to any more are taken away a little later. Files are replaced by
renaming, which is what Envoy watches.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import yaml

from deploy.local.gateway.bootstrap import bootstrap
from deploy.local.gateway.clusters import cluster_resources
from deploy.local.gateway.listeners import listener_resource
from deploy.local.gateway.routes import descriptors, route_resource
from deploy.local.gateway.tables import Lookup, Tables, lookup_from_json
from deploy.local.gateway.wiring import LOOPBACK, Wiring

Json = dict[str, Any]
TAKEN_UP_SECONDS = 3.0  # how long Envoy may take to read a file; it takes milliseconds


def write_bootstrap(wiring: Wiring) -> Path:
    """Write what Envoy is started with and return its path."""
    path = wiring.folder / "envoy.json"
    write(path, json.dumps(bootstrap(wiring), indent=1))
    return path


def write_all(tables: Tables, wiring: Wiring) -> None:
    """Write every file at once: for a first start, when nothing is served yet."""
    write_limits(tables, wiring)
    write_resources(wiring.tables / "cds.json", cluster_resources(tables, wiring))
    write_resources(wiring.tables / "rds.json", [route_resource(tables)])
    write_resources(wiring.tables / "lds.json", [listener_resource(tables, wiring)])


async def publish(tables: Tables, wiring: Wiring) -> bool:
    """Bring the tables to Envoy; return whether clusters are left over for `retire`."""
    write_limits(tables, wiring)
    path = wiring.tables / "cds.json"
    wanted = cluster_resources(tables, wiring)
    names = {cluster["name"] for cluster in wanted}
    left_over = [cluster for cluster in _resources(path) if cluster["name"] not in names]
    if write_resources(path, [*wanted, *left_over]):
        await _taken_up(path, "cds", wiring)
    write_resources(wiring.tables / "lds.json", [listener_resource(tables, wiring)])
    routes = wiring.tables / "rds.json"
    if write_resources(routes, [route_resource(tables)]):
        await _taken_up(routes, "rds", wiring)
    return bool(left_over)


def retire(tables: Tables, wiring: Wiring) -> None:
    """Take away the clusters that the published tables do not name."""
    write_resources(wiring.tables / "cds.json", cluster_resources(tables, wiring))


def write_limits(tables: Tables, wiring: Wiring) -> None:
    """Write the rate limit service's descriptors, which it reads when the file changes."""
    # The service reads whatever appears in its folder, so the new file is made elsewhere.
    write(
        wiring.rate_limit_config,
        yaml.safe_dump(descriptors(tables), sort_keys=False),
        workshop=wiring.folder,
    )


def write_resources(path: Path, resources: list[Json]) -> bool:
    """Write one of Envoy's files; return whether it changed. Its version is the hash of its
    content.
    """
    version = hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]
    return write(path, json.dumps({"version_info": version, "resources": resources}, indent=1))


def write(path: Path, text: str, *, workshop: Path | None = None) -> bool:
    """Replace the file by renaming, unless it already says this; return whether it was replaced.

    workshop: a folder of the same disk to make the new file in; the file's own folder if None.
    """
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = (workshop or path.parent) / f".{path.name}.new"
    new.unlink(missing_ok=True)
    # the processor's table holds keys
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    os.replace(new, path)
    return True


def read_lookup(wiring: Wiring) -> Lookup:
    """Return the processor's table as it was last kept, or an empty one."""
    try:
        return lookup_from_json(json.loads(wiring.lookup.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return Lookup()


def write_lookup(lookup: Lookup, wiring: Wiring) -> None:
    """Keep the processor's table for the next start."""
    write(wiring.lookup, json.dumps(lookup.to_json()))


def _resources(path: Path) -> list[Json]:
    try:
        return list(json.loads(path.read_text())["resources"])
    except (OSError, ValueError, KeyError):
        return []


async def _taken_up(path: Path, name: str, wiring: Wiring) -> None:
    """Wait until Envoy says that it runs this file's version, or is not there to ask. name: "cds"
    or "rds".
    """
    version = json.loads(path.read_text())["version_info"]
    question = (
        f"http://{LOOPBACK}:{wiring.admin_port}/stats?filter={name}.*version_text&type=TextReadouts"
    )
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TAKEN_UP_SECONDS
    async with httpx.AsyncClient(timeout=1.0, trust_env=False) as client:
        while loop.time() < deadline:
            try:
                if version in (await client.get(question)).text:
                    return
            except httpx.HTTPError:
                return
            await asyncio.sleep(0.02)
