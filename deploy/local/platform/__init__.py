"""The Go programs of the local stack: built once from pinned modules into the user's cache, or
taken ready-made.

One folder per Go module holds go.mod, go.sum and at most a small main of ours; no third-party
source is in the tree. `python -m deploy.local.platform build` builds what is missing, in the order
the stack needs it. A variable QUARTERMASTER_BINARIES=DIR gives ready programs, which are then used
as they are.

What the stack calls (env is its own environment, a mapping):
    binaries(env)       the one folder that links to every program that is ready; its path is known
    before a build
    start_build(env)    start the builder in the background, or join the one that runs;
    stop_build(env) ends it
    progress(env)       one row per program, for `make status` and the portal's page
    folder(env)         the CRDs and manifests of the pinned releases, by project (from
    `upstream.py`)

To raise a version: edit go.mod (and UPSTREAM, and the version in `programs.py` where a program says
its own), then run `GOFLAGS=-mod=mod go list -deps PACKAGE` in that folder, once more with
GOOS=darwin, and commit go.mod and go.sum.
"""

from __future__ import annotations

from deploy.local.platform.background import progress, start_build, stop_build
from deploy.local.platform.builder import build
from deploy.local.platform.programs import BadReadyFolder, binaries, missing
from deploy.local.platform.progress_file import Progress
from deploy.local.platform.toolchain import NoToolchain
from deploy.local.platform.upstream import DownloadFailed, folder

__all__ = [
    "BadReadyFolder",
    "DownloadFailed",
    "NoToolchain",
    "Progress",
    "binaries",
    "build",
    "folder",
    "missing",
    "progress",
    "start_build",
    "stop_build",
]
