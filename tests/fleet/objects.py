"""Objects as the API server gives them, small."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def text(second: float) -> str:
    return at(second).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind, second, status="True", reason="", message=""):
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": text(second),
        "reason": reason or kind,
        "message": message,
    }


def metadata(name, uid, second=0, version=1, **more):
    return {
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": text(second),
        **more,
    }


LABELS = {
    "karpenter.sh/nodepool": "gpu-inference",
    "node.kubernetes.io/instance-type": "g6.xlarge",
    "topology.kubernetes.io/zone": "us-east-1a",
    "karpenter.sh/capacity-type": "spot",
    "eks-node-viewer/instance-price": "0.402500",
    "quartermaster.dev/price-basis": "simulated-spot",
}


def claim(
    name="gpu-abc",
    uid="claim-1",
    version=1,
    launched=None,
    registered=None,
    initialized=None,
    **more,
):
    reached = {"Launched": launched, "Registered": registered, "Initialized": initialized}
    conditions = [condition(kind, second) for kind, second in reached.items() if second is not None]
    labels = LABELS if launched is not None else {"karpenter.sh/nodepool": "gpu-inference"}
    return {
        "metadata": metadata(
            name, uid, more.pop("second", 2), version, labels=more.pop("labels", labels), **more
        ),
        "status": {
            "nodeName": "node-1" if registered is not None else "",
            "providerID": "kwok://node-1" if launched is not None else "",
            "capacity": {"nvidia.com/gpu": "1"} if launched is not None else {},
            "conditions": conditions,
        },
    }


def node(name="node-1", uid="node-uid-1", version=1, ready=True, second=9):
    return {
        "metadata": metadata(name, uid, second, version, labels=LABELS),
        "status": {
            "capacity": {"nvidia.com/gpu": "1", "cpu": "4"},
            "conditions": [condition("Ready", second, "True" if ready else "False")],
        },
    }


def pool(version=1, used="1"):
    return {
        "metadata": metadata("gpu-inference", "pool-1", 0, version),
        "spec": {"limits": {"nvidia.com/gpu": "64"}},
        "status": {
            "resources": {"nvidia.com/gpu": used, "nodes": used},
            "conditions": [condition("Ready", 0)],
        },
    }


def pod(
    uid="pod-1", version=1, node="", scheduled=None, loaded=None, started=None, ready=None, **more
):
    conditions = [
        condition(kind, second)
        for kind, second in (("PodScheduled", scheduled), ("Ready", ready))
        if second
    ]
    init = (
        {"terminated": {"exitCode": 0, "finishedAt": text(loaded)}} if loaded else {"waiting": {}}
    )
    engine = (
        {"running": {"startedAt": text(started)}}
        if started
        else {"waiting": {"reason": "PodInitializing"}}
    )
    return {
        "metadata": metadata(
            more.pop("name", f"m-v1-predictor-{uid}"),
            uid,
            1,
            version,
            namespace="models",
            labels={
                "serving.kserve.io/inferenceservice": "m-v1",
                "quartermaster.dev/model": "m",
                "quartermaster.dev/version": "1",
            },
            annotations={"quartermaster.dev/engine": "stand-in"} if started else {},
            **more,
        ),
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": "kserve-container", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
            ],
        },
        "status": {
            "phase": "Running" if started else "Pending",
            "conditions": conditions,
            "initContainerStatuses": [{"name": "storage-initializer", "state": init}],
            "containerStatuses": [
                {"name": "kserve-container", "state": engine, "ready": bool(ready)}
            ],
        },
    }


def event(reason, kind, name, second, message="", uid=None, about="", **more):
    return {
        "metadata": metadata(f"{name}.{reason}", uid or f"event-{reason}-{name}-{second}", second),
        "type": "Normal",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name, "uid": about, "namespace": "models", **more},
        "firstTimestamp": text(second),
        "lastTimestamp": text(second),
        "count": 1,
    }
