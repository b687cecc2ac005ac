"""`manage.py import_usage FILE`: count calls from a file of the gateway's access log."""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from apps.metering.imports import import_usage


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
                    came = import_usage(name=path.name, file=file, now=now())
            except OSError as error:
                raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
            self.stdout.write(f"{path}: {came.words}")
