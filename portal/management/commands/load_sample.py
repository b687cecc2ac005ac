"""`manage.py load_sample`: load what there is to try the portal with; where SAMPLE says so, begin
the sample year, which `load_sample_year` then brings in.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from portal.sample.load import NoWeights, load_sample
from portal.sample.year import begin_year


class Command(BaseCommand):
    """Load the sample."""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the folder with the sample's weights."""
        parser.add_argument(
            "--versions", type=Path, metavar="DIR", help="publish DIR/smollm2 and DIR/smollm2-short"
        )

    def handle(self, *args: Any, versions: Path | None = None, **options: Any) -> None:
        """Make what is missing and say what was made."""
        year = begin_year(now=now()) if settings.SAMPLE == "year" else None
        founded_at = year.since if year else None
        try:
            for line in load_sample(versions=versions, founded_at=founded_at, now=now()):
                self.stdout.write(line)
        except NoWeights as error:
            raise CommandError(str(error)) from error
