"""Argo CD: the only one that writes what serves, from the GitOps repository.

Two processes (repository server, application controller) and their objects. It watches only the
kinds that the Applications may hold, which keeps it small, and checks Git every minute; the
repository's post-receive hook asks it to look at once, so the minute only matters when that call
was lost.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from deploy.local.cluster import gitops, layout, probes
from deploy.local.platform import upstream
from deploy.local.stack.part import Context, Part

Json = dict[str, Any]

SHIPPED = Path("deploy/argocd")
VALKEY_DATABASE = 3
CHECK_GIT_EVERY = "60s"


def parts(context: Context) -> list[Part]:
    """Return the repository server and the application controller."""
    return [_repo_server(context), _controller(context)]


def objects(context: Context) -> list[Json]:
    """Return Argo CD's settings, its projects and its Applications, following this stack's
    repository.
    """
    files = [
        Path(__file__).parent / "manifests" / "argocd.yaml",
        *sorted((context.root / SHIPPED).glob("*.yaml")),
    ]
    found = [
        manifest for path in files for manifest in yaml.safe_load_all(path.read_text()) if manifest
    ]
    found.sort(key=lambda manifest: manifest["kind"] == "Application")
    return [follow(manifest, gitops.remote(context)) for manifest in found]


def follow(manifest: Json, repository: str) -> Json:
    """Return a project or Application that reads from `repository`; everything else stays as it is
    shipped.
    """
    if manifest["kind"] == "Application":
        spec = manifest["spec"]
        return manifest | {"spec": spec | {"source": spec["source"] | {"repoURL": repository}}}
    if manifest["kind"] == "AppProject":
        return manifest | {"spec": manifest["spec"] | {"sourceRepos": [repository]}}
    return manifest


def _shared_env(context: Context, home: Path) -> dict[str, str]:
    """Return the variables of both processes: no keys of other people, temporary files below the
    stack.
    """
    for name in ("tls", "ssh", "gpg", "tmp"):
        (home / name).mkdir(parents=True, exist_ok=True)
    return {
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_TLS_DATA_PATH": str(home / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(home / "ssh"),
        "ARGOCD_APP_CONF_PATH": str(home),
        "ARGOCD_RECONCILIATION_TIMEOUT": CHECK_GIT_EVERY,
        "ARGOCD_RECONCILIATION_JITTER": "0s",
        "GIT_CONFIG_NOSYSTEM": "1",
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "GOGC": "50",
        **_redis_password(context),
    }


def _redis(context: Context) -> tuple[str, str]:
    """Return HOST:PORT and password ("" for none) of the stack's Valkey, or of the one that
    REDIS_URL names.
    """
    given = context.env.get("REDIS_URL", "")
    if not given:
        return f"{layout.LOOPBACK}:{context.ports('valkey', 16379)}", ""
    url = urlsplit(given)
    return f"{url.hostname}:{url.port or 6379}", url.password or ""


def _redis_password(context: Context) -> dict[str, str]:
    password = _redis(context)[1]
    return {"REDIS_PASSWORD": password} if password else {}


def _repo_server(context: Context) -> Part:
    home = layout.folder(context, "argocd-repo-server")
    metrics = layout.port(context, "argocd-repo-server-metrics")
    command = [
        str(context.binaries / "argocd-repo-server"),
        f"--address={layout.LOOPBACK}",
        f"--port={layout.port(context, 'argocd-repo-server')}",
        f"--metrics-address={layout.LOOPBACK}",
        f"--metrics-port={metrics}",
        f"--redis={_redis(context)[0]}",
        f"--redisdb={VALKEY_DATABASE}",
        "--disable-tls",
        "--client-ca-path=",
        "--revision-cache-expiration=1s",
        "--loglevel=warn",
    ]
    programs = home / "bin"

    def prepare() -> None:
        gitops.seed_gitops(context)
        _place_git_wrapper(upstream.folder(context.env) / "argo-cd", programs)

    return Part(
        name="argocd-repo-server",
        command=command,
        address=layout.address(context, "argocd-repo-server"),
        ready=probes.answers_ok(f"{layout.LOOPBACK}:{metrics}", "/healthz"),
        env={
            **_shared_env(context, home),
            "PATH": os.pathsep.join(
                [str(programs), str(context.binaries), os.environ.get("PATH", os.defpath)]
            ),
            "ARGOCD_PLUGINSOCKFILEPATH": str(home / "plugins"),
            "ARGOCD_ASK_PASS_SOCK": str(home / "ask-pass.sock"),
            "ARGOCD_PAUSE_GEN_AFTER_FAILED_ATTEMPTS": "0",
            "GOMEMLIMIT": "128MiB",
        },
        needs=("valkey",),
        programs=("argocd-repo-server",),
        replaced_by="KUBECONFIG",
        prepare=prepare,
    )


def _place_git_wrapper(release: Path, programs: Path) -> None:
    """Put the release's small Git script on the server's PATH; without it every sync says
    "permission denied".
    """
    programs.mkdir(parents=True, exist_ok=True)
    script = programs / "git-verify-wrapper.sh"
    script.write_bytes((release / "hack" / "git-verify-wrapper.sh").read_bytes())
    script.chmod(0o700)


def _controller(context: Context) -> Part:
    home = layout.folder(context, "argocd-application-controller")
    metrics = layout.address(context, "argocd-application-controller")
    command = [
        str(context.binaries / "argocd-application-controller"),
        f"--namespace={layout.ARGOCD}",
        f"--repo-server={layout.address(context, 'argocd-repo-server')}",
        "--repo-server-plaintext",
        f"--redis={_redis(context)[0]}",
        f"--redisdb={VALKEY_DATABASE}",
        f"--metrics-port={layout.port(context, 'argocd-application-controller')}",
        "--status-processors=4",
        "--operation-processors=2",
        "--kubectl-parallelism-limit=4",
        "--self-heal-backoff-timeout-seconds=1",
        "--self-heal-backoff-factor=2",
        "--self-heal-backoff-cap-seconds=5",
        "--server-side-diff-enabled",
        "--loglevel=warn",
    ]
    return Part(
        name="argocd-application-controller",
        command=command,
        address=f"http://{metrics}",
        ready=probes.answers_ok(metrics, "/healthz"),
        env={
            **_shared_env(context, home),
            "KUBECONFIG": str(layout.kubeconfig(context, "argocd")),
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_SYNC_WAVE_DELAY": "0",
            "GOMEMLIMIT": "192MiB",
        },
        needs=("kube-apiserver", "argocd-repo-server", "valkey", "kserve", "kwok"),
        programs=("argocd-application-controller",),
        replaced_by="KUBECONFIG",
    )
