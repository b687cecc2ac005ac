"""`manage.py import_usage FILE`: count calls from a file of the gateway's access log."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from apps.metering.actions import ingest_storable
from apps.metering.follow import read_lines
from apps.metering.models import Doubt

BATCH = 5000  # lines stored in one transaction


class Command(BaseCommand):
    """Read one JSON object a line. Safe to run again: a call that is stored counts once."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the files."""
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="JSON lines")

    def handle(self, *args: object, **options: object) -> None:
        """Store the files one after another, and tell what came of each."""
        files = options["files"]
        assert isinstance(files, list)  # noqa: S101 - nargs says so
        for path in files:
            try:
                with path.open("rb") as file:
                    self.stdout.write(f"{path}: {_import(file)}")
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _import(file: BinaryIO) -> str:
    """Return in words what came of a file's lines."""
    lines, stored, quarantined = 0, 0, Counter[str]()
    for batch in _batches(file):
        came = ingest_storable(entries=read_lines(batch), via="FILE", now=now())
        lines, stored = lines + len(batch), stored + came.stored
        quarantined += came.quarantined
    words = f"{lines:,} lines, {stored:,} calls stored for the first time"
    if not quarantined:
        return f"{words}, none in quarantine."
    kinds = ", ".join(f"{Doubt(kind).label}: {n:,}" for kind, n in quarantined.most_common())
    return f"{words}, {quarantined.total():,} in quarantine ({kinds})."


def _batches(file: BinaryIO) -> Iterator[list[bytes]]:
    while batch := list(islice(file, BATCH)):
        yield batch
