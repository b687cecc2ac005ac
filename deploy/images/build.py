"""Images by buildah, from what Git holds: the same commit gives the same image, bit for bit.

What a build sees is the files that Git knows of, and the built assets: no secret and no leftover of
a machine gets into an image. Root is needed, for buildah's chroot isolation without user
namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("mmdebstrap", "buildah")
PACKAGES = "ca-certificates,python3,python3-venv,libpq5,tini"
# what one image needs besides: workers commit what is to run, by git over HTTPS
MORE_PACKAGES = {"portal": "git"}
SUITE = "bookworm"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
CONTAINERFILES = {
    "portal": "deploy/images/Containerfile",
    "loader": "deploy/serving/Containerfile",
}


class CannotBuild(Exception):
    """An image cannot be built here. The text says why."""


def missing() -> str:
    """Return what this machine lacks to build images, in words; "" where it lacks nothing."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"{' and '.join(lacking)} missing: apt-get install {' '.join(TOOLS)}"
    return "" if os.geteuid() == 0 else "images are built as root only"


@dataclass(frozen=True)
class Builder:
    """Builds images of the repository at `root`. folder: where images and layers are kept."""

    root: Path
    folder: Path

    def base(self, name: str) -> str:
        """Return the name of an image's base: Debian's Python and little else, made where it is not
        there yet.
        """
        base = f"localhost/base-{name}:{SUITE}"
        if base not in self._images():
            packed = self.folder / "base.tar"
            left_out = [f"--dpkgopt=path-exclude={each}" for each in LEFT_OUT]
            packages = ",".join(filter(None, [PACKAGES, MORE_PACKAGES.get(name)]))
            tools = ["mmdebstrap", "--variant=minbase", f"--include={packages}", *left_out]
            self._run([*tools, SUITE, str(packed)])
            self._commit_base(packed, base)
            packed.unlink()
        return base

    def _commit_base(self, packed: Path, base: str) -> None:
        container = self._buildah("from", "scratch")
        self._buildah("add", "-q", container, str(packed), "/")
        # times are rewritten below, which would make the standard library's bytecode stale
        compiling = ["python3", "-m", "compileall", "-q", "-f"]
        how = ["--invalidation-mode", "unchecked-hash", "/usr/lib/python3.11"]
        self._buildah("run", "--isolation", "chroot", container, "--", *compiling, *how)
        self._buildah("commit", "-q", "--timestamp", "0", container, base)
        self._buildah("rm", container)

    def build(self, name: str, *, base: str, uses_cache: bool = True) -> str:
        """Build an image of CONTAINERFILES, and return its id. Raises CannotBuild."""
        context = self.folder / "context"
        shutil.rmtree(context, ignore_errors=True)
        self._fill(context)
        words = ["bud", "-q", "--pull-never", "--isolation", "chroot", "--timestamp", "0"]
        words += [] if uses_cache else ["--no-cache"]
        words += [*self._pip_settings(), "--build-arg", f"BASE={base}"]
        tag = f"localhost/quartermaster-{name}:latest"
        file = str(context / CONTAINERFILES[name])
        return self._buildah(*words, "-t", tag, "-f", file, str(context)).splitlines()[-1]

    def run(self, image: str, *words: str, env: Sequence[str] = ()) -> str:
        """Return what a command says in a container of an image. Raises CannotBuild where it
        fails.
        """
        container = self._buildah("from", "--pull-never", image)
        given = [word for each in env for word in ("--env", each)]
        try:
            return self._buildah("run", "--isolation", "chroot", *given, container, "--", *words)
        finally:
            self._buildah("rm", container)

    def save(self, image: str, archive: Path) -> None:
        """Write an image as an OCI archive, which registries' tools copy from."""
        archive.unlink(missing_ok=True)
        self._buildah("push", "-q", image, f"oci-archive:{archive}")

    def _fill(self, context: Path) -> None:
        known = self._run(["git", "-C", str(self.root), "ls-files", "-z"]).split("\0")
        for name in filter(None, known):
            source = self.root / name
            if source.is_file():
                target = context / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        assets = self.root / "static/dist"
        if not (assets / "app").is_dir():
            raise CannotBuild("The assets are not built: run `make assets` first.")
        shutil.copytree(assets, context / "static/dist")

    def _pip_settings(self) -> list[str]:
        """Return how a build reaches packages where this machine has a way of its own: the
        authority and the index that its pip is told. None of it stays in the image.
        """
        found = {"cert": os.environ.get("PIP_CERT"), "index-url": os.environ.get("PIP_INDEX_URL")}
        told = {name: value for name, value in found.items() if value}
        if not told:
            return []
        mounts = []
        if "cert" in told:
            mounts = ["--volume", f"{told['cert']}:/host-ca.crt:ro"]
            told["cert"] = "/host-ca.crt"
        file = self.folder / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{key} = {told[key]}\n" for key in told))
        return [*mounts, "--volume", f"{file}:/etc/pip.conf:ro"]

    def _images(self) -> str:
        return self._buildah("images", "--format", "{{.Name}}:{{.Tag}}")

    def _buildah(self, *words: str) -> str:
        kept = ["--root", str(self.folder / "store"), "--runroot", str(self.folder / "run")]
        return self._run(["buildah", *kept, "--storage-driver", "overlay", *words])

    def _run(self, words: Sequence[str]) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotBuild(f"{words[0]} failed: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout.strip()
