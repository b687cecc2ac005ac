"""Where a cluster-internal name really listens: Service → EndpointSlice → the pod's own word.

Pod addresses are not reachable on a machine without a cluster network, so each serving pod
publishes its process's address in an annotation. Without that annotation the slice's own address is
taken, as kube-proxy would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deploy.local.gateway.objects import Object, Objects

LISTEN_ANNOTATION = "quartermaster.dev/listen"


def service_of(hostname: str) -> tuple[str, str] | None:
    """Return (namespace, name) of a Service's DNS name, or None for a name outside the cluster."""
    parts = hostname.lower().rstrip(".").removesuffix(".cluster.local").split(".")
    return (parts[1], parts[0]) if len(parts) == 3 and parts[2] == "svc" else None


def namespace_of(hostname: str) -> str | None:
    """Return the namespace that any name inside the cluster belongs to, or None for a name outside
    of it.
    """
    parts = hostname.lower().rstrip(".").removesuffix(".cluster.local").split(".")
    return parts[-2] if len(parts) > 2 and parts[-1] in ("svc", "pod") else None


def resolve_all(
    objects: Objects, hosts: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], tuple[str, ...]]:
    """Return the ready addresses of every cluster-internal host; names outside the cluster are left
    out.
    """
    return {
        (hostname, port): resolve_service(objects, hostname, port)
        for hostname, port in sorted(hosts)
        if service_of(hostname) is not None
    }


def resolve_service(objects: Objects, hostname: str, port: int) -> tuple[str, ...]:
    """Return the ready "host:port" addresses behind a Service's name and port, sorted."""
    place = service_of(hostname)
    service = objects.get("Service", *place) if place else None
    if service is None or place is None:
        return ()
    port_name = next(
        (p.get("name", "") for p in service["spec"].get("ports", []) if p["port"] == port), None
    )
    if port_name is None:
        return ()
    return tuple(sorted({address for address in _ready(objects, place, port_name)}))


def resolve_pod_ip(objects: Objects, address: str) -> str | None:
    """Return where the pod with this IP listens, ready or not, or None where no pod says so."""
    for piece in objects.all("EndpointSlice"):
        for endpoint in piece.get("endpoints") or []:
            if address in endpoint.get("addresses", []):
                listen = _listen(objects, piece, endpoint)
                if listen:
                    return listen
    return None


def _ready(objects: Objects, service: tuple[str, str], port_name: str) -> Iterator[str]:
    for piece in objects.all("EndpointSlice"):
        labels = piece["metadata"].get("labels", {})
        if (
            piece["metadata"].get("namespace"),
            labels.get("kubernetes.io/service-name"),
        ) != service:
            continue
        number = next(
            (p.get("port") for p in piece.get("ports") or [] if (p.get("name") or "") == port_name),
            None,
        )
        for endpoint in piece.get("endpoints") or []:
            if endpoint.get("conditions", {}).get("ready") is False or number is None:
                continue
            yield _listen(objects, piece, endpoint) or f"{endpoint['addresses'][0]}:{number}"


def _listen(objects: Objects, piece: Object, endpoint: Object) -> str | None:
    """Return what the endpoint's pod says about itself."""
    target = endpoint.get("targetRef") or {}
    if target.get("kind") != "Pod":
        return None
    pod = objects.get("Pod", piece["metadata"]["namespace"], target["name"])
    if pod is None or target.get("uid") not in (None, pod["metadata"].get("uid")):
        return None
    listen = (pod["metadata"].get("annotations") or {}).get(LISTEN_ANNOTATION)
    return str(listen) if listen else None
