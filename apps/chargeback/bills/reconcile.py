"""Looks for bills in S3, and reads those that are new or changed.

What a manifest names is downloaded to this machine's disk first, each file held against its length
and checksum; then, without the network, its lines take the place of the former bill in one
transaction. A delivery that is overwritten while it is read is read anew.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from apps.chargeback.bills import actions, cur
from apps.chargeback.bills.actions import File, LostLease
from apps.chargeback.bills.manifest import BadBill, Export, parse
from apps.chargeback.bills.models import BillFeed
from apps.common.leases import retry_at, take_lease
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import Damaged, NotThere, RegistryStore
from apps.integrations.s3.types import ListedObject

S3 = "S3"  # why a bill cannot be read: not the bill's own fault
MANIFEST_BYTES = 4 * 1024 * 1024
REFUSED_AGAIN = timedelta(hours=1)


def read_bills(*, store: RegistryStore | None, export: Export | None, now: datetime) -> int:
    """Look for deliveries, and read the months that are due, the newest first; return how many
    bills are other ones now. store: None where no bill is configured.
    """
    if store is None or export is None:
        return 0
    if not _look(store, export, now):
        return 0
    due = BillFeed.objects.filter(
        source=export.address, month__isnull=False, next_check_at__lte=now
    )
    return sum(read_bill(feed=feed, store=store, export=export, now=now) for feed in due)


def _look(store: RegistryStore, export: Export, now: datetime) -> bool:
    """Note which manifests there are; False where S3 does not tell."""
    try:
        listed = store.list_objects(export.metadata)
    except (TemporaryError, PermanentError) as error:
        message = f"{error} Trying again by itself."
        actions.record_look(source=export.address, reason=S3, message=message, now=now)
        return False
    found = [(month, entry.etag) for entry in listed if (month := export.month_of(entry.key))]
    actions.note_manifests(source=export.address, found=found, now=now)
    problem = (
        ""
        if found
        else (
            f"No manifest lies under {export.address}/metadata. AWS delivers the first one within "
            "a day; after that, look at the bucket, the prefix and the name of the export."
        )
    )
    reason = "NOTHING_THERE" if problem else ""
    actions.record_look(source=export.address, reason=reason, message=problem, now=now)
    return True


def read_bill(*, feed: BillFeed, store: RegistryStore, export: Export, now: datetime) -> bool:
    """Read a month's bill if it is due; tell whether it is another one now."""
    if not take_lease(feed, now=now):
        return False
    try:
        return _read(feed, store, export, now)
    except LostLease:
        return False
    except TemporaryError as error:
        at = retry_at(feed, now=now, retry_after=error.retry_after)
        message = f"{error} Trying again by itself."
        actions.record_refusal(feed=feed, reason=S3, message=message, at=at, now=now)
    except PermanentError as error:
        reason = error.reason if isinstance(error, BadBill) else S3
        actions.record_refusal(
            feed=feed, reason=reason, message=str(error), at=now + REFUSED_AGAIN, now=now
        )
    return False


def _read(feed: BillFeed, store: RegistryStore, export: Export, now: datetime) -> bool:
    assert feed.month is not None  # noqa: S101 - only months have bills
    etag = _etag(store, export.manifest_key(feed.month))
    body = store.read_small(export.manifest_key(feed.month), limit=MANIFEST_BYTES)
    manifest = parse(body, export, feed.month)
    there = {entry.key: entry for entry in store.list_objects(export.data(feed.month))}
    if missing := [key for key in manifest.keys if key not in there]:
        raise BadBill(
            "MISSING",
            f"The manifest names {missing[0].rpartition('/')[2]}, which is not there. Nothing of "
            "the delivery was taken. Have AWS deliver the month again.",
        )
    with TemporaryDirectory(prefix="quartermaster-bill-") as folder:
        paths = {key: Path(folder) / str(place) for place, key in enumerate(manifest.keys)}
        files = [_fetch(store, there[key], path) for key, path in paths.items()]
        if _etag(store, export.manifest_key(feed.month)) != etag:
            raise TemporaryError("The bill was delivered anew while it was read.")
        kept = actions.keep_bill(
            feed=feed,
            etag=etag,
            execution_id=manifest.execution_id,
            files=files,
            lines=_lines(paths, feed),
            accounts=export.accounts,
            now=now,
        )
    return kept is not None


def _lines(paths: dict[str, Path], feed: BillFeed) -> Iterator[tuple[str, cur.Line]]:
    assert feed.month is not None  # noqa: S101 - only months have bills
    is_net = any(cur.tells_net(path) for path in paths.values())
    for key, path in paths.items():
        for line in cur.lines(path, feed.month, is_net=is_net):
            yield key, line


def _etag(store: RegistryStore, key: str) -> str:
    """Return the tag of the manifest that is there now."""
    found = next((entry for entry in store.list_objects(key) if entry.key == key), None)
    if found is None:
        raise NotThere(f"{key} is not in the {store.name}.")
    return found.etag


def _fetch(store: RegistryStore, entry: ListedObject, path: Path) -> File:
    """Download a file and hold it against what S3 tells of it."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with path.open("wb") as file:
            for chunk in store.read(entry.key):
                file.write(chunk)
                sha256.update(chunk)
                md5.update(chunk)
    except Damaged:
        raise _damaged(entry) from None
    size = path.stat().st_size
    if size != entry.size or store.md5_of(entry.key) not in ("", md5.hexdigest()):
        raise _damaged(entry)
    return File(entry.key, size, sha256.hexdigest())


def _damaged(entry: ListedObject) -> BadBill:
    return BadBill(
        "DAMAGED",
        f"{entry.key.rpartition('/')[2]} is not what its checksum tells. Nothing of the delivery "
        "was taken. Have AWS deliver the month again.",
    )
