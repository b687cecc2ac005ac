"""`make check-gateway`: what the portal renders and ships, on the real Envoy Gateway and Envoy AI
Gateway.

Both controllers run against an API server of their own; Envoy, the external processor and the rate
limit service run as they configure them, the Collector as it is shipped; engines, identity provider
and ingest are the tests' doubles. Each object is shown with what the controllers say about it, then
calls are made. Fails on any object that is not fully accepted, and on any call that goes otherwise
than at the local gateway. Linux only; needs no root; about two minutes after the build.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx

from deploy.local.platform import upstream
from deploy.local.stack import valkey
from deploy.local.stack.part import Context, NotReady, Part
from tests.local.running import missing, own_context, running
from tests.real_gateway import control, objects, private, proxy, traffic
from tests.real_gateway.cluster import Cluster
from tests.real_gateway.conditions import problems
from tests.real_gateway.programs import Release, release

HOSTS = {
    control.EXTENSION: control.AI_GATEWAY_ADDRESS,
    "envoy-gateway": control.ENVOY_GATEWAY_ADDRESS,
    f"envoy-gateway.{control.ENVOY_GATEWAY}.svc.cluster.local": control.ENVOY_GATEWAY_ADDRESS,
    f"{proxy.RATE_LIMIT}.{control.ENVOY_GATEWAY}.svc.cluster.local": control.RATE_LIMIT_ADDRESS,
    "otel-collector.ai-gateway.svc.cluster.local": private.NODE,
    "gate.ai-gateway.svc.cluster.local": private.NODE,
    "idp.test": private.NODE,
    "valkey.test": private.NODE,
    **{
        f"{name}-predictor.models.svc.cluster.local": address
        for name, address in traffic.PREDICTORS.items()
    },
}
SETTLED_WITHIN_SECONDS = 60
Found = TypeVar("Found")


def main() -> int:
    """Build outside, check inside; return 1 where anything was not as it must be."""
    absent = missing("etcd", "kube-apiserver", "ratelimit", "otelcol")
    if absent:
        print(f"not built yet: {', '.join(absent)}; run make up once", file=sys.stderr)
        return 1
    built = release()
    if not private.is_inside():
        upstream.folder(os.environ)  # inside there is no network
        with tempfile.TemporaryDirectory(prefix="qm-root-") as root:
            return private.enter("tests.real_gateway", Path(root))
    private.settle(HOSTS)
    with tempfile.TemporaryDirectory(prefix="qm-check-") as state:
        failures = check(own_context(Path(state)), built)
    print(
        "\n".join(["", *failures])
        if failures
        else "\nEverything is accepted, and every call went as it must."
    )
    return 1 if failures else 0


def check(context: Context, built: Release) -> list[str]:
    """Run both controllers and everything they configure; return what was not as it must be."""
    print(*(f"{module} {version}" for module, version in built.versions), sep="\n", flush=True)
    cluster = Cluster(context)
    with running(context, control.plane(context)):
        cluster.define(built.definitions)
        for obj in control.installation():
            cluster.apply(obj)
        with running(context, control.parts(context, cluster, built.programs, "valkey.test:6379")):
            for obj in [*objects.shipped(), objects.engine_key(), *objects.rendered()]:
                cluster.apply(obj)
            try:
                made = eventually(lambda: proxy.deployments(cluster))
            # a Gateway that is refused gets no proxy: its conditions say why
            except NotReady as problem:
                return [*verdicts(cluster), str(problem)]
            proxy.say_ready(cluster, made.values())
            return [*verdicts(cluster), *calls(context, cluster, built, made)]


def verdicts(cluster: Cluster) -> list[str]:
    """Show each object, the HTTPRoutes that come of them too, and return those that are not fully
    accepted.
    """
    routes = cluster.all("gateway.networking.k8s.io/v1", "HTTPRoute")
    wanted = [*objects.shipped(), *objects.rendered(), *routes]
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    found = {}
    while time.monotonic() < until:
        found = {_name(obj): problems(cluster.read(obj)) for obj in wanted}
        if not any(found.values()):
            break
        time.sleep(1)
    for name, said in found.items():
        print(f"  {'FAILED' if said else 'ok    '} {name}", *said, sep="\n           ", flush=True)
    return [f"{name}: {'; '.join(said)}" for name, said in found.items() if said]


def _name(obj: control.Json) -> str:
    metadata = obj["metadata"]
    return f"{obj['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")


def calls(
    context: Context, cluster: Cluster, built: Release, made: dict[str, control.Json]
) -> list[str]:
    """Run the data plane, call through it, and return what went otherwise than it must."""
    eventually(lambda: proxy.configured(cluster))
    pod = proxy.pod_of(cluster, made["envoy"])
    keys = [str(valkey.program()), "--bind", private.NODE, "--save", "", "--protected-mode", "no"]
    parts = [
        Part("valkey", keys, "", lambda: control.connects(private.NODE, 6379)),
        proxy.collector(context, f"http://{traffic.PORTAL}"),
        proxy.rate_limit(context, cluster, made[proxy.RATE_LIMIT]),
        proxy.processor(context, cluster, pod, built.programs),
        proxy.gate(),
        proxy.envoy(context, cluster, pod),
    ]
    with traffic.neighbors(context.state / "envoy.log") as caller, running(context, parts):
        eventually(lambda: _answers(caller))
        order = proxy.filters()
        caller.must("every filter is where it must be", proxy.FILTERS, order)
        traffic.check(caller)
        stats = httpx.get(
            "http://127.0.0.1:19000/stats?filter=update_rejected", trust_env=False
        ).text
        rejected = [line for line in stats.splitlines() if not line.endswith(": 0")]
        caller.must("Envoy took everything that Envoy Gateway sent", [], rejected)
        return caller.failures


def _answers(caller: traffic.Calls) -> None:
    answer = caller.chat("steady")
    if answer.status_code != 200:
        raise NotReady(f"the first call: {answer.status_code} {answer.text}")


def eventually(ask: Callable[[], Found]) -> Found:
    """Return what it gives once it raises NotReady no longer."""
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    while True:
        try:
            return ask()
        except NotReady:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
