"""`manage.py load_sample_year`: bring in the sample year, or what is missing of it."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from apps.catalog.registry import registry_from_settings
from portal.sample.year import BillWriter, NotBegun, load_year


class Command(BaseCommand):
    """Load the year."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take who writes the bills."""
        parser.add_argument(
            "--bills",
            type=Path,
            metavar="FILE",
            help='JSON of who writes bills: {"command": [...], "env": {...}}; none without it',
        )

    def handle(self, *args: Any, bills: Path | None = None, **options: Any) -> None:
        """Load what is missing and say how far it is."""
        if settings.SAMPLE != "year":
            raise CommandError("Set SAMPLE=year: without it pages would not say what is a sample.")
        writer = BillWriter(**json.loads(bills.read_text())) if bills else None
        try:
            for line in load_year(registry=registry_from_settings(), bills=writer, clock=now):
                self.stdout.write(line)
                self.stdout.flush()
        except NotBegun as error:
            raise CommandError(str(error)) from error
