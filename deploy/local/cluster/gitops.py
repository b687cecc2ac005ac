"""The GitOps repository of a local stack: a bare repository with what the platform needs, and a
hook.

`platform/` is rewritten from the files in `deploy/` whenever they differ, as one commit on top of
what is there. `serving/` and `capacity/` belong to the portal: one is made with a note, the other
with the shipped NodePool, and neither is touched again. The commit is written straight into the
repository and takes its place only if nobody pushed meanwhile; otherwise it is made again on the
new tip.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from deploy.local.cluster import layout
from deploy.local.stack.part import Context

BRANCH = "main"
AUTHOR = "Quartermaster local stack <stack@quartermaster.invalid>"
SERVING_NOTE = """# serving

Model versions, routes and limits. Quartermaster writes this folder; Argo CD applies it.
Change it in the portal.
"""

# Files of `deploy/` that become `platform/<their name>`. NODE_CLASS is the one setting that differs
# from production: the nodeClassRef of the pool that `capacity/` begins with is pointed at it.
PLATFORM = ("deploy/argocd/platform/*.yaml", "deploy/gateway/*.yaml")
NODE_POOL = "deploy/karpenter/nodepool.yaml"
NODE_CLASS = "deploy/karpenter/local/kwoknodeclass.yaml"


def remote(context: Context) -> str:
    """Return the address that Argo CD and the portal use: GITOPS_REMOTE, or the stack's own
    repository.
    """
    return context.env.get("GITOPS_REMOTE") or layout.gitops_repository(context).as_uri()


def seed_gitops(context: Context) -> None:
    """Make the repository where it is missing, and bring its `platform/` to this checkout's;
    otherwise do nothing.
    """
    if context.env.get("GITOPS_REMOTE"):
        return
    repository = layout.gitops_repository(context)
    if not (repository / "HEAD").exists():
        _git(
            repository.parent,
            "init",
            "--bare",
            "--quiet",
            f"--initial-branch={BRANCH}",
            str(repository),
        )
        _git(repository, "config", "receive.denyNonFastForwards", "true")
        _git(repository, "config", "receive.denyDeletes", "true")
    _write_hook(context, repository)
    files, beginnings = platform_files(context.root), beginning_files(context.root)
    for _ in range(3):
        if _commit(repository, files, beginnings):
            return
    raise RuntimeError(
        f"{repository}: its branch moved three times while `platform/` was being committed"
    )


def platform_files(root: Path) -> dict[str, str]:
    """Return `platform/`'s files by name, as the local cluster gets them."""
    found: dict[str, str] = {}
    for pattern in PLATFORM:
        found |= {path.name: path.read_text() for path in sorted(root.glob(pattern))}
    found["nodeclass.yaml"] = (root / NODE_CLASS).read_text()
    return found


def beginning_files(root: Path) -> dict[str, str]:
    """Return what the portal's folders begin with, by path."""
    node_class = yaml.safe_load((root / NODE_CLASS).read_text())
    pool = with_node_class((root / NODE_POOL).read_text(), node_class)
    name = yaml.safe_load(pool)["metadata"]["name"]
    return {"serving/README.md": SERVING_NOTE, f"capacity/{name}.yaml": pool}


def with_node_class(node_pool: str, node_class: dict[str, Any]) -> str:
    """Return the NodePool's manifest with its nodeClassRef pointing at another node class."""
    manifest = yaml.safe_load(node_pool)
    manifest["spec"]["template"]["spec"]["nodeClassRef"] = {
        "group": node_class["apiVersion"].partition("/")[0],
        "kind": node_class["kind"],
        "name": node_class["metadata"]["name"],
    }
    # Laid out as the portal writes it, so that the first change shows what changes and nothing
    # else.
    return yaml.safe_dump(
        manifest, sort_keys=False, width=120, allow_unicode=True, explicit_start=True
    )


def _commit(repository: Path, files: dict[str, str], beginnings: dict[str, str]) -> bool:
    """Commit `platform/` where it differs, and what the portal's folders begin with where they are
    not there.

    Returns whether all is now as wanted (False: somebody else was faster).
    """
    tip = _git(
        repository, "rev-parse", "--quiet", "--verify", f"refs/heads/{BRANCH}", check=False
    ).strip()
    listed = _git(repository, "ls-tree", "-r", "--format=%(path) %(objectname)", tip) if tip else ""
    found = dict(line.rsplit(" ", 1) for line in listed.splitlines())
    wanted = {f"platform/{name}": content.encode() for name, content in files.items()}
    present = {path: name for path, name in found.items() if path.startswith("platform/")}
    folders = {path.partition("/")[0] for path in found}
    missing = {
        path: text.encode()
        for path, text in beginnings.items()
        if path.partition("/")[0] not in folders
    }
    if not missing and present == {path: _blob_id(content) for path, content in wanted.items()}:
        return True
    wanted |= missing
    done = subprocess.run(
        ["git", "fast-import", "--quiet", "--done", "--date-format=now"],
        cwd=repository,
        env=_env(),
        input=_stream(tip, wanted),
        capture_output=True,
    )
    if done.returncode and b"Not updating" not in done.stderr:
        raise RuntimeError(f"git fast-import: {done.stderr.decode(errors='replace').strip()}")
    return done.returncode == 0


def _stream(tip: str, files: dict[str, bytes]) -> bytes:
    """Return one commit in the format of `git fast-import`."""
    message = (
        b"Bring the platform's objects to this checkout\n"
        if tip
        else b"Start the GitOps repository\n"
    )
    lines = [f"commit refs/heads/{BRANCH}\ncommitter {AUTHOR} now\n".encode(), _data(message)]
    if tip:
        lines.append(f"from {tip}\nD platform\n".encode())
    for path, content in files.items():
        lines += [f"M 100644 inline {path}\n".encode(), _data(content)]
    return b"".join([*lines, b"done\n"])


def _data(content: bytes) -> bytes:
    return b"data %d\n%b\n" % (len(content), content)


def _blob_id(content: bytes) -> str:
    """Return the name that Git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _write_hook(context: Context, repository: Path) -> None:
    """Write the post-receive hook: it asks Argo CD to look, in the background, and never fails or
    delays a push.
    """
    command = shlex.join(
        [
            context.python,
            str(Path(__file__).with_name("refresh.py")),
            str(layout.kubeconfig(context, "hook")),
        ]
    )
    hook = repository / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ncat >/dev/null\n{command} </dev/null >/dev/null 2>&1 &\nexit 0\n")
    hook.chmod(0o700)


def _env() -> dict[str, str]:
    """Return an environment in which the caller's own Git settings play no part."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return kept | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def _git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=_env(), capture_output=True, text=True
    )
    if check and done.returncode:
        raise RuntimeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
