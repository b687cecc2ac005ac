"""Publishes a folder as a version: reads it, opens the version, sends what S3 lacks, closes the
upload, and waits until the portal has verified every byte.

Run again after any interruption it goes on where it stopped: an upload that was begun is found by
its list of files, and so is a version that holds exactly these files already.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apps.cli import exits, folder
from apps.cli.folder import Local
from apps.cli.names import VersionName
from apps.cli.output import note, size
from apps.cli.portal import Portal
from apps.cli.progress import Progress
from apps.cli.storage import Storage
from apps.cli.uploads import AT_ONCE, Sender
from apps.common.model_manifest import WRITTEN_BY_PORTAL

GOOD = ("SIGNING", "VERIFYING", "VERIFIED")  # a version of which every file has arrived
TRIES = 3  # to close the upload, where S3 lost a part again meanwhile


@dataclass(frozen=True)
class Order:
    """What is published. number: None for the next one. again: also where a version holds exactly
    these files already.
    """

    path: Path
    model: str
    note: str = ""
    number: int | None = None
    again: bool = False
    quiet: bool = False


def publish(portal: Portal, order: Order) -> Any:
    """Publish a folder; return the version, which the portal signs and verifies next.

    Raises what exits.py lists.
    """
    paths = folder.paths_in(order.path)
    total = folder.check_names(paths)
    with Progress("Reading", total, quiet=order.quiet) as progress:
        files = [folder.read_file(path, tell=progress.add) for path in paths]
    if not order.again and (found := _published_already(portal, order, files)):
        note(f"{found['model']} v{found['number']} holds exactly these files already.")
        return found
    opened = _open(portal, order, files)
    version = VersionName(order.model, opened["number"])
    note(f"{version}: {len(files)} files, {size(total)}.")
    return _send(portal, version, files, total, order.quiet)


def _published_already(portal: Portal, order: Order, files: list[Local]) -> Any:
    """Return the newest version with exactly these files of which every byte has arrived; None for
    none. With a number only that version.
    """
    wanted = {(local.entry.name, local.entry.size, local.entry.sha256) for local in files}
    for version in portal.listed(f"models/{order.model}/versions"):
        if version["status"] not in GOOD or order.number not in (None, version["number"]):
            continue
        listed = {
            (file["name"], file["size"], file["sha256"])
            for file in version["files"]
            if file["name"] not in WRITTEN_BY_PORTAL
        }
        if listed == wanted:
            return version
    return None


def _open(portal: Portal, order: Order, files: list[Local]) -> Any:
    """Open the version, or find the caller's own upload of these files that was begun."""
    listed = [vars(local.entry) for local in files]
    body: dict[str, Any] = {"note": order.note, "files": listed}
    if order.number is not None:
        body["number"] = order.number
    return portal.send(f"models/{order.model}/versions", body, repeatable=True)


def _send(portal: Portal, version: VersionName, files: list[Local], total: int, quiet: bool) -> Any:
    s3 = Storage(at_once=AT_ONCE)
    try:
        for attempt in range(TRIES):
            with Progress("Sending", total, quiet=quiet) as progress:
                sender = Sender(portal, s3, version, progress)
                for local in files:
                    sender.send(local)
            try:
                return portal.send(f"{version.path}/finish", repeatable=True)
            except exits.Refused as error:
                if error.code != "upload_incomplete" or attempt == TRIES - 1:
                    raise
    finally:
        s3.close()
    raise AssertionError("the last attempt returns or raises")
