"""`manage.py verify_month 2026-10`: derive a closed month again, and compare."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.http import Http404
from django.utils.timezone import now

from apps.chargeback.api import parse_month
from apps.chargeback.verification.verify import NotClosed, verify_month
from apps.common.counts import counted
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.s3.client import archive_from_settings
from apps.metering.archive.actions import NotWhole
from apps.metering.archive.parquet import NotParquet

SHOWN = 20  # differences that are told one by one


class Command(BaseCommand):
    """Says what it compared; ends with an error where something is not as it was closed."""

    help = "Derive a closed month again from its calls and machines, and compare it with its close."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the month."""
        parser.add_argument("month", metavar="YYYY-MM")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify. Raises CommandError with the first differences."""
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    # one moment for all of it, in which nothing can be written
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                    cursor.execute("SET LOCAL statement_timeout = 0")
                report = verify_month(
                    parse_month(options["month"]),
                    archive=archive_from_settings(),
                    now=now(),
                    tell=lambda day: self.stderr.write(f"{day:%Y-%m-%d}", ending="\r"),
                )
        except Http404 as error:
            raise CommandError(str(error)) from error
        except (NotClosed, NotWhole, NotParquet, PermanentError, TemporaryError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{report.month:%B %Y} was compared:")
        for words in report.compared:
            self.stdout.write(f"- {words}")
        for words in report.differences[:SHOWN]:
            self.stderr.write(words)
        if not report.holds:
            findings = counted(len(report.differences), "finding")
            raise CommandError(f"It is not as it was closed: {findings}.")
        self.stdout.write("It is as it was closed.")
