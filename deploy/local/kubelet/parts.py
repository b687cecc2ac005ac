"""The kubelet as a part of the local stack."""

from __future__ import annotations

import urllib.error
import urllib.request

from deploy.local.stack import s3
from deploy.local.stack.part import Context, NotReady, Part

PASSED = ("ENGINE", "QUARTERMASTER_SERVING_ENV", "STAND_IN_TOKENS_PER_SECOND")


def parts(context: Context) -> list[Part]:
    """Return the kubelet; a cluster of one's own has kubelets already."""
    port = context.ports("kubelet", 19020)
    kubeconfig = context.folder("cluster") / "kubeconfigs" / "kubelet"
    command = [
        context.python,
        "-m",
        "deploy.local.kubelet",
        f"--kubeconfig={kubeconfig}",
        f"--state={context.state}",
    ]
    return [
        Part(
            name="kubelet",
            command=[*command, f"--port={port}"],
            address=f"http://127.0.0.1:{port}/healthz",
            ready=lambda: check(port),
            env=s3.client_env(context, "kubelet")
            | {name: context.env[name] for name in PASSED if name in context.env},
            needs=("kube-apiserver", "kwok", "versitygw"),
            replaced_by="KUBECONFIG",
            cwd=context.root,
        )
    ]


def check(port: int) -> None:
    """Raise NotReady until the kubelet has seen the cluster's pods."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
            return
    except urllib.error.HTTPError:
        raise NotReady("waiting for the Kubernetes API to list the pods") from None
    except OSError as error:
        raise NotReady(f"does not listen yet ({error})") from None
