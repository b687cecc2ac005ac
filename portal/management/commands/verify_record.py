"""`manage.py verify_record`: read the whole record again, against its seals and its anchor."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from apps.audit.sealing.verify import verify_from_settings


class Command(BaseCommand):
    """Says what it found; ends with an error where something is wrong."""

    help = "Verify the audit record: chain, tree, signed checkpoints and their copies in S3."

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify. Raises CommandError with every finding."""
        done = verify_from_settings(now=now(), whole=True)
        for finding in done.findings:
            self.stderr.write(f"{finding['kind']}: {finding['says']}")
        if done.found:
            raise CommandError(f"{done.found:,} findings in {done.size:,} entries.")
        self.stdout.write(
            f"{done.size:,} entries are what was sealed; "
            f"the first {done.anchored_size:,} of them are anchored."
        )
