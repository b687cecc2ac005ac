"""`make bench-reconcile`: how fast the portal follows, and changes, a cluster of 1,000
InferenceServices.

Real etcd, API server, Argo CD, Postgres, Valkey, one Celery worker and the observer, each a process
of its own. The objects (1,000 InferenceServices, 500 NodeClaims, 2,000 pods) are written directly:
no KServe, Karpenter or kubelet runs, and KServe's webhooks are taken away. Nothing is asserted; the
last line is one JSON object. Postgres runs without fsync, as in the tests. Everything lives in one
temporary folder and ends with this process.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.cluster import argocd, layout
from deploy.local.stack import valkey
from deploy.local.stack.part import Context, Part
from tests.benchmarks.report import show
from tests.local.running import api_as, control_plane_of, missing, own_context, running

PROGRAMS = ("etcd", "kube-apiserver", "argocd-repo-server", "argocd-application-controller")
REPLACED = (
    "KUBECONFIG",
    "REDIS_URL",
    "DATABASE_URL",
    "MIGRATIONS_DATABASE_URL",
    "GITOPS_REMOTE",
    "GITOPS_WORKDIR",
    "OIDC_ISSUER",
)


def main() -> int:
    """Run all of it and print the figures."""
    absent = missing(*PROGRAMS)
    if absent:
        print(f"not built yet: {', '.join(absent)}; run make up once", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="qm-bench-") as folder:
        for name in REPLACED:
            os.environ.pop(name, None)
        context = own_context(Path(folder))
        say("starting etcd, the API server, Valkey and Argo CD")
        with control_plane_of(context.state, context=context, more=[valkey.part(context)]):
            without_webhooks(context)
            use(context)
            with running(context, [*argocd.parts(context)]), product(context) as env:
                # its models need Django set up, and that needs the addresses
                from tests.benchmarks import measure

                show("reconcile", measure.all_of_it(context, env))
    return 0


def use(context: Context) -> None:
    """Point the product's settings at these processes, start a database of its own, and set Django
    up.
    """
    os.environ |= {
        "KUBECONFIG": str(layout.kubeconfig(context, "portal")),
        "REDIS_URL": valkey.url(context),
        "GITOPS_REMOTE": layout.gitops_repository(context).as_uri(),
        "GITOPS_WORKDIR": str(context.folder("gitops-work")),
    }
    import django

    from tests import environment  # noqa: F401 (starts Postgres and names the rest)

    django.setup()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    call_command("grant_privileges", verbosity=0)


def without_webhooks(context: Context) -> None:
    """Take KServe's webhooks away: nobody answers them here. And give pods the account that they
    run under.
    """
    with api_as(context) as api:
        for plural in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
            root = f"/apis/admissionregistration.k8s.io/v1/{plural}"
            for item in api.request("GET", root)["items"]:
                api.request("DELETE", f"{root}/{item['metadata']['name']}")
        api.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": "models"},
            }
        )


@contextmanager
def product(context: Context) -> Iterator[dict[str, str]]:
    """Run one Celery worker, as the local stack does; yield the environment of the product's
    processes.
    """
    env = {**os.environ, "PYTHONPATH": str(context.root)}
    flags = ["--concurrency", "2", "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    command = [context.python, "-m", "celery", "-A", "worker.celery", "worker", *flags]
    with running(context, [Part("worker", command, "", lambda: None, env=env, cwd=context.root)]):
        yield env


def say(words: str) -> None:
    """Tell a person what goes on."""
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
