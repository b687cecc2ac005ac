"""Nodes without machines: KWOK keeps them alive, Karpenter decides which exist.

KWOK answers for every node that Karpenter's kwok provider creates: status, lease, and the logs of
its pods. It has a node stage only, so pods stay Pending with a node's name until the local kubelet
runs them.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from deploy.local.cluster import instance_types, kubeconfigs, layout, probes
from deploy.local.stack.part import Context, Part

SELECTOR = "kwok.x-k8s.io/node=fake"
STAGES = Path(__file__).parent / "manifests" / "kwok-stages.yaml"
LEASE_SECONDS = 40


def parts(context: Context) -> list[Part]:
    """Return KWOK and Karpenter."""
    return [_kwok(context), _karpenter(context)]


def kwok_configuration(port: int) -> str:
    """Return KWOK's configuration file: its options, then the one stage."""
    configuration = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokConfiguration",
        "options": {
            "enableCRDs": ["Logs"],
            "enableDebuggingHandlers": True,
            "nodeLeaseDurationSeconds": LEASE_SECONDS,
            "nodeLeaseParallelism": 2,
            "nodePlayStageParallelism": 2,
            "podPlayStageParallelism": 1,
            "manageNodesWithLabelSelector": SELECTOR,
            "cidr": layout.POD_RANGE,
            "nodeIP": layout.LOOPBACK,
            "nodePort": port,
        },
    }
    return f"{yaml.safe_dump(configuration, sort_keys=False)}---\n{STAGES.read_text()}"


def _kwok(context: Context) -> Part:
    home = layout.folder(context, "kwok")
    listen = layout.address(context, "kwok")
    pki = layout.folder(context, "pki")
    command = [
        str(context.binaries / "kwok"),
        f"--kubeconfig={layout.kubeconfig(context, 'kwok')}",
        f"--config={home / 'kwok.yaml'}",
        f"--manage-nodes-with-label-selector={SELECTOR}",
        f"--server-address={listen}",
        f"--tls-cert-file={pki / 'kwok.crt'}",
        f"--tls-private-key-file={pki / 'kwok.key'}",
    ]

    def prepare() -> None:
        kubeconfigs.authority(context).server("kwok")
        (home / "kwok.yaml").write_text(kwok_configuration(layout.port(context, "kwok")))

    return Part(
        name="kwok",
        command=command,
        address=f"http://{listen}",
        ready=probes.answers_ok(listen, "/healthz"),
        env={"GOGC": "50", "GOMEMLIMIT": "160MiB", "HOME": str(home)},
        needs=("kube-apiserver",),
        programs=("kwok",),
        replaced_by="KUBECONFIG",
        prepare=prepare,
    )


def shortage_file(context: Context) -> Path:
    """Return the file whose lines say which machines cannot be bought now, and which Spot nodes are
    taken back.
    """
    return layout.folder(context) / "shortage.txt"


def _karpenter(context: Context) -> Part:
    types = layout.folder(context, "karpenter") / "instance_types.json"
    health = layout.address(context, "karpenter")

    def prepare() -> None:
        types.write_text(instance_types.render(instance_types.load()))
        shortage_file(context).touch(mode=0o600)

    return Part(
        name="karpenter",
        command=[str(context.binaries / "karpenter")],
        address=f"http://{health}",
        ready=probes.answers_ok(health, "/readyz"),
        env={
            "KUBECONFIG": str(layout.kubeconfig(context, "karpenter")),
            "INSTANCE_TYPES_FILE_PATH": str(types),
            "SHORTAGE_FILE_PATH": str(shortage_file(context)),
            "SHORTAGE_HIDDEN": context.env.get("SHORTAGE_HIDDEN", "3m"),
            "DISABLE_LEADER_ELECTION": "true",
            "HEALTH_PROBE_PORT": str(layout.port(context, "karpenter")),
            "METRICS_PORT": str(layout.port(context, "karpenter-metrics")),
            "BATCH_IDLE_DURATION": "1s",
            "BATCH_MAX_DURATION": "5s",
            "KARPENTER_SERVICE": "karpenter",
            "SYSTEM_NAMESPACE": "kube-system",
            "CLUSTER_NAME": "quartermaster-local",
            "GOGC": "50",
            "GOMEMLIMIT": "192MiB",
        },
        needs=("kube-apiserver", "kwok"),
        programs=("karpenter",),
        replaced_by="KUBECONFIG",
        prepare=prepare,
    )
