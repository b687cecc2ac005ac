"""Where AWS Data Exports puts a bill, and what its manifest says.

s3://<bucket>/<prefix>/<export>/data/BILLING_PERIOD=2026-11/… holds the files of a delivery, and
perhaps those of older ones; …/metadata/BILLING_PERIOD=2026-11/<export>-Manifest.json is written
last, and names those that count. Nothing else is read.
"""

import json
import re
from dataclasses import dataclass
from datetime import date

from django.conf import settings

from apps.integrations.errors import PermanentError

MOST_FILES = 5000
_PARTITION = re.compile(r"BILLING_PERIOD=(?P<year>\d{4})-(?P<month>\d{2})")


class BadBill(PermanentError):
    """A delivery that cannot be taken as a bill. reason: short, for machines; the text says what is
    wrong and what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Export:
    """An export's place. accounts: whose lines count, all of them where none is named."""

    bucket: str
    prefix: str
    name: str
    accounts: frozenset[str] = frozenset()

    @property
    def root(self) -> str:
        """Return how its keys begin, with a slash at the end."""
        return "/".join(part for part in (self.prefix.strip("/"), self.name) if part) + "/"

    @property
    def address(self) -> str:
        """Return what people know it by."""
        return f"s3://{self.bucket}/{self.root}".rstrip("/")

    @property
    def metadata(self) -> str:
        """Return how the keys of its manifests begin."""
        return f"{self.root}metadata/"

    def month_of(self, key: str) -> date | None:
        """Return the month whose manifest a key is; None for any other object."""
        folder, _, name = key.removeprefix(self.metadata).partition("/")
        found = _PARTITION.fullmatch(folder)
        if not key.startswith(self.metadata) or name != f"{self.name}-Manifest.json" or not found:
            return None
        year, month = int(found["year"]), int(found["month"])
        return date(year, month, 1) if year and 1 <= month <= 12 else None

    def manifest_key(self, month: date) -> str:
        """Return the key of a month's manifest."""
        return f"{self.metadata}BILLING_PERIOD={month:%Y-%m}/{self.name}-Manifest.json"

    def data(self, month: date) -> str:
        """Return how the keys of a month's files begin."""
        return f"{self.root}data/BILLING_PERIOD={month:%Y-%m}/"


@dataclass(frozen=True)
class Manifest:
    """What a delivery consists of. keys: of its files, in their order."""

    execution_id: str
    keys: tuple[str, ...]


def parse(body: bytes, export: Export, month: date) -> Manifest:
    """Return what a month's manifest says. Raises BadBill where it is none, or names a file that
    cannot be the month's.
    """
    try:
        told = json.loads(body)
        execution_id, files = told["executionId"], told["dataFiles"]
    except (ValueError, TypeError, KeyError):
        raise _not_a_manifest() from None
    if not isinstance(execution_id, str) or not execution_id or not isinstance(files, list):
        raise _not_a_manifest()
    if not files or len(files) > MOST_FILES:
        raise BadBill(
            "MANIFEST",
            f"The manifest names {len(files):,} files; a delivery has 1 to {MOST_FILES:,}. Look at "
            "the export in AWS Data Exports.",
        )
    keys = tuple(_key(str(file), export, month) for file in files)
    if len(set(keys)) != len(keys):
        raise BadBill(
            "MANIFEST",
            "The manifest names a file twice: its lines would count twice. Wait for the next "
            "delivery, or have AWS deliver the month again.",
        )
    return Manifest(execution_id[:128], keys)


def _not_a_manifest() -> BadBill:
    return BadBill(
        "MANIFEST",
        "The manifest is not one of AWS Data Exports: it does not tell executionId and dataFiles. "
        "Look at the bucket, the prefix and the name of the export.",
    )


def _key(file: str, export: Export, month: date) -> str:
    """Return the key of a file that the manifest names by its address."""
    bucket, _, key = file.removeprefix("s3://").partition("/")
    if bucket != export.bucket or not key.startswith(export.data(month)) or "/../" in key:
        raise BadBill(
            "OTHER_MONTH",
            f"The manifest of {month:%B %Y} names {file}, which is not among that month's files. "
            "Nothing of it was read. Have AWS deliver the month again.",
        )
    if not key.endswith(".parquet"):
        raise BadBill(
            "FORMAT",
            f"The manifest names {key.rpartition('/')[2]}, which is not Parquet. Choose Parquet as "
            "the format of the export.",
        )
    return key


def export_from_settings() -> Export | None:
    """Return the export that bills are read from; None where none is configured."""
    if not settings.CUR_BUCKET:
        return None
    return Export(
        bucket=settings.CUR_BUCKET,
        prefix=settings.CUR_PREFIX,
        name=settings.CUR_EXPORT,
        accounts=settings.CUR_ACCOUNTS,
    )
