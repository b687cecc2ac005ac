"""Kubernetes itself: etcd, the API server, the controller manager and the scheduler.

Flags differ from a real cluster's in three ways. Everything listens on loopback. What the platform
does not use is off (controllers, API groups, priority and fairness), because a developer's machine
pays for idle watches. And the Go collectors run more often than by default: memory is scarcer here
than the little processor time that it costs. etcd wants a client certificate: without one, any user
of the machine could read and write past the API server.
"""

from __future__ import annotations

import ssl

from deploy.local.cluster import install, kubeconfigs, layout, probes
from deploy.local.cluster.pki import Identity
from deploy.local.platform import upstream
from deploy.local.stack import vault
from deploy.local.stack.part import Context, Part

# The controllers that the platform's objects need; the rest of the default set would only hold
# watches open.
CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "endpointslice-controller",
    "namespace-controller",
    "garbage-collector-controller",
    "pod-garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "node-lifecycle-controller",
    "taint-eviction-controller",
    "disruption-controller",
    "horizontal-pod-autoscaler-controller",
)


def parts(context: Context) -> list[Part]:
    """Return the four processes in the order of their needs."""
    return [_etcd(context), _api_server(context), _controller_manager(context), _scheduler(context)]


def _etcd(context: Context) -> Part:
    client, peer = (f"https://{layout.address(context, name)}" for name in ("etcd", "etcd-peer"))
    pki = layout.folder(context, "pki")
    command = [
        str(context.binaries / "etcd"),
        "--name=local",
        f"--data-dir={layout.folder(context, 'etcd')}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        f"--cert-file={pki / 'etcd.crt'}",
        f"--key-file={pki / 'etcd.key'}",
        f"--trusted-ca-file={pki / 'ca.crt'}",
        "--client-cert-auth",
        f"--peer-cert-file={pki / 'etcd.crt'}",
        f"--peer-key-file={pki / 'etcd.key'}",
        f"--peer-trusted-ca-file={pki / 'ca.crt'}",
        "--peer-client-cert-auth",
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=5m",
        "--snapshot-count=5000",
        "--log-level=warn",
    ]

    def prepare() -> None:
        signer = kubeconfigs.authority(context)
        signer.server("etcd")
        signer.client("client-etcd", Identity("quartermaster:kube-apiserver"))

    return Part(
        name="etcd",
        command=command,
        address=client,
        ready=probes.answers_ok(
            layout.address(context, "etcd"), "/readyz", lambda: _trust(context, "etcd")
        ),
        env={"GOGC": "50"},
        programs=("etcd",),
        replaced_by="KUBECONFIG",
        prepare=prepare,
    )


def _api_server(context: Context) -> Part:
    pki = layout.folder(context, "pki")
    command = [
        str(context.binaries / "kube-apiserver"),
        f"--bind-address={layout.LOOPBACK}",
        f"--advertise-address={layout.LOOPBACK}",
        f"--secure-port={layout.port(context, 'kube-apiserver')}",
        f"--etcd-servers=https://{layout.address(context, 'etcd')}",
        f"--etcd-cafile={pki / 'ca.crt'}",
        f"--etcd-certfile={pki / 'client-etcd.crt'}",
        f"--etcd-keyfile={pki / 'client-etcd.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'kube-apiserver.crt'}",
        f"--tls-private-key-file={pki / 'kube-apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        *_extending(context),
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        f"--service-cluster-ip-range={layout.SERVICE_RANGE}",
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--enable-admission-plugins=ExtendedResourceToleration",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
    ]

    def prepare() -> None:
        signer = kubeconfigs.authority(context)
        signer.server("kube-apiserver")
        signer.signing_key("service-accounts")
        kubeconfigs.front_proxy(context)
        kubeconfigs.ensure(context)
        upstream.folder(context.env)  # what `after` installs, downloaded here the first time

    return Part(
        name="kube-apiserver",
        command=command,
        address=layout.api_server(context),
        ready=probes.answers_ok(
            layout.address(context, "kube-apiserver"), "/readyz", lambda: _trust(context, "admin")
        ),
        env={"GOGC": "50"},
        # what `after` installs names the registry's public keys
        needs=("etcd", *vault.needs(context, vault.REGISTRY)),
        programs=("kube-apiserver",),
        replaced_by="KUBECONFIG",
        prepare=prepare,
        after=lambda: install.install(context),
    )


def _extending(context: Context) -> list[str]:
    """Return the flags by which KEDA's adapter answers as a part of this API."""
    pki = layout.folder(context, "pki", "front-proxy")
    return [
        f"--requestheader-client-ca-file={pki / 'ca.crt'}",
        f"--requestheader-allowed-names={kubeconfigs.FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / f'{kubeconfigs.FRONT_PROXY}.crt'}",
        f"--proxy-client-key-file={pki / f'{kubeconfigs.FRONT_PROXY}.key'}",
    ]


def _controller_manager(context: Context) -> Part:
    pki = layout.folder(context, "pki")
    return _component(
        context,
        "kube-controller-manager",
        "controller-manager",
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
    )


def _scheduler(context: Context) -> Part:
    return _component(context, "kube-scheduler", "scheduler")


def _component(context: Context, name: str, client: str, *flags: str) -> Part:
    """Return a part of the two that only differ in their flags."""
    pki = layout.folder(context, "pki")
    command = [
        str(context.binaries / name),
        f"--kubeconfig={layout.kubeconfig(context, client)}",
        "--leader-elect=false",
        f"--bind-address={layout.LOOPBACK}",
        f"--secure-port={layout.port(context, name)}",
        f"--tls-cert-file={pki / f'{name}.crt'}",
        f"--tls-private-key-file={pki / f'{name}.key'}",
        "--profiling=false",
        *flags,
    ]
    return Part(
        name=name,
        command=command,
        address=f"https://{layout.address(context, name)}",
        ready=probes.answers_ok(
            layout.address(context, name), "/healthz", lambda: _trust(context, "admin")
        ),
        env={"GOGC": "50"},
        needs=("kube-apiserver",),
        programs=(name,),
        replaced_by="KUBECONFIG",
        prepare=lambda: _certificate(context, name),
    )


def _certificate(context: Context, name: str) -> None:
    kubeconfigs.authority(context).server(name)


def _trust(context: Context, client: str) -> ssl.SSLContext:
    pki = layout.folder(context, "pki")
    return probes.tls(pki / "ca.crt", pki / f"client-{client}.crt", pki / f"client-{client}.key")
