"""Reads the cluster. It cannot write: the class has no such method, and its credential no such
right (I7).

A cluster that is away, or does not let the portal read yet, is a TemporaryError: reconcilers wait
for it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from apps.integrations.errors import NotFound, Refused, TemporaryError
from apps.integrations.kubernetes import readings
from apps.integrations.kubernetes.connection import Connection, connection_from_settings
from apps.integrations.kubernetes.types import (
    ApplicationStatus,
    EventNote,
    Kind,
    Manifest,
    Manifests,
    NodeClaimStatus,
    PodStatus,
    RouteStatus,
    ServingStatus,
)

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
_EVENTS = 30


class KubernetesReader:
    """Reads objects and logs of one cluster. connect: called at each use, so that a missing
    credential is an error of the read, which reconcilers wait for, and not of making the reader.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Manifest | None:
        """Return one object, or None where there is none."""
        try:
            return dict(self._json(kind, kind.path(namespace, name)))
        except NotFound:
            return None

    def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Manifests:
        """Return the objects of a kind, of one namespace or of all, by labels and fields; [] for an
        unknown kind.
        """
        query: dict[str, str] = {}
        if labels:
            query["labelSelector"] = ",".join(f"{key}={value}" for key, value in labels.items())
        if fields:
            query["fieldSelector"] = ",".join(f"{key}={value}" for key, value in fields.items())
        try:
            return list(self._json(kind, kind.path(namespace), query).get("items") or [])
        except NotFound:
            return []

    def logs(
        self, name: str, namespace: str, *, container: str = "kserve-container", lines: int = 200
    ) -> str:
        """Return the last lines that a pod's container printed; "" where there are none."""
        query = {"container": container, "tailLines": str(lines)}
        try:
            return self._connect().text(f"{Kind.POD.path(namespace, name)}/log", query)
        except NotFound:
            return ""
        except Refused as error:
            raise self._not_allowed("pods/log", error) from error

    def application_status(self, name: str, namespace: str) -> ApplicationStatus:
        """Return how far Argo CD is with an application."""
        found = self.get(Kind.APPLICATION, name, namespace)
        return readings.application(found) if found else ApplicationStatus(exists=False)

    def route_status(self, name: str, namespace: str) -> RouteStatus:
        """Return a model's route as the cluster has it."""
        found = self.get(Kind.AI_GATEWAY_ROUTE, name, namespace)
        return readings.route(found) if found else RouteStatus(exists=False, weights={})

    def replicas_status(self, name: str, namespace: str) -> ServingStatus:
        """Return an InferenceService with its pods alone, in two small reads: enough to see that
        all is well.
        """
        service = self.get(Kind.INFERENCE_SERVICE, name, namespace)
        if service is None:
            return ServingStatus(exists=False)
        return replace(readings.serving(service), pods=self._pods(name, namespace))

    def serving_status(
        self, name: str, namespace: str, known_claims: Collection[str] = ()
    ) -> ServingStatus:
        """Return an InferenceService with its pods, its newest pod's node, and events while that
        pod waits.

        known_claims: NodeClaims that it was seen on before; what ended them is told too.
        """
        service = self.get(Kind.INFERENCE_SERVICE, name, namespace)
        pods = self._pods(name, namespace)
        pod = next((item for item in pods if not item.deleting), None)
        events = self._events(pod, namespace)
        if service is None:
            return ServingStatus(exists=False, pods=pods)
        claims = [readings.node_claim(item) for item in self.list(Kind.NODE_CLAIM)] if pods else []
        waits = pod is None or not pod.at("Ready")
        return replace(
            readings.serving(service),
            pods=pods,
            node_claim=_claim_of(pod, claims, events),
            events=events,
            node_events=self._node_events({*known_claims, *_claims_under(pods, claims, events)})
            if waits
            else (),
        )

    def _pods(self, name: str, namespace: str) -> tuple[PodStatus, ...]:
        found = map(readings.pod, self.list(Kind.POD, namespace, labels={SERVICE_LABEL: name}))
        return tuple(
            sorted(found, key=lambda pod: (str(pod.created_at or ""), pod.name), reverse=True)
        )

    def _events(self, pod: PodStatus | None, namespace: str) -> tuple[EventNote, ...]:
        """Return the events of a pod that is not ready yet: why it waits, and which node it was
        promised.
        """
        if pod is None or pod.at("Ready"):
            return ()
        found = map(
            readings.event,
            self.list(Kind.EVENT, namespace, fields={"involvedObject.name": pod.name}),
        )
        return tuple(sorted(found, key=lambda note: str(note.at or "")))[-_EVENTS:]

    def _node_events(self, claims: set[str]) -> tuple[EventNote, ...]:
        """Return what happened to these NodeClaims; events of objects without a namespace are kept
        in `default`.
        """
        found = [
            readings.event(item)
            for claim in sorted(claims)
            for item in self.list(Kind.EVENT, "default", fields={"involvedObject.name": claim})
        ]
        return tuple(sorted(found, key=lambda note: str(note.at or "")))[-_EVENTS:]

    def _json(self, kind: Kind, path: str, query: Mapping[str, str] | None = None) -> Any:
        try:
            return self._connect().json(path, query)
        except Refused as error:
            raise self._not_allowed(kind.value.plural, error) from error

    def _not_allowed(self, what: str, error: Refused) -> TemporaryError:
        if error.status == 401:
            return TemporaryError(
                "The cluster does not accept the portal's credential. A platform engineer must "
                "renew it (KUBECONFIG).",
                retry_after=15,
            )
        return TemporaryError(
            f"The cluster does not let the portal read {what}. A platform engineer must apply "
            f"deploy/portal/chart/templates/rbac.yaml.",
            retry_after=15,
        )


def _claim_of(
    pod: PodStatus | None, claims: Iterable[NodeClaimStatus], events: tuple[EventNote, ...]
) -> NodeClaimStatus | None:
    """Return the claim of the pod's node, or the one that it was promised last and that is still
    there.
    """
    if pod is None:
        return None
    if pod.node:
        return next((claim for claim in claims if claim.node == pod.node), None)
    promised = _promised(events)[-1:]
    return next((claim for claim in claims if claim.name in promised), None)


def _claims_under(
    pods: Iterable[PodStatus], claims: Iterable[NodeClaimStatus], events: tuple[EventNote, ...]
) -> set[str]:
    """Return the names of the claims under the pods, those going away too, and of all that the
    newest was promised.
    """
    nodes = {pod.node for pod in pods if pod.node}
    return {claim.name for claim in claims if claim.node in nodes} | set(_promised(events))


def _promised(events: Iterable[EventNote]) -> list[str]:
    """Return the claims that a pod's events promise it, in their order."""
    found = (readings.promised_claim(note.reason, note.message) for note in events)
    return [name for name in found if name]


def client_from_settings() -> KubernetesReader:
    """Return the reader of the cluster that serves models. Never fails: its reads do, while there
    is no credential.
    """
    return KubernetesReader(connection_from_settings)
