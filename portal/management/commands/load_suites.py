"""`manage.py load_suites`: make the suites that ship with the product, and their packets, where
they are missing. They judge no model until two people decide so.
"""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils.timezone import now

from apps.evals.suites.actions import ensure_shipped


class Command(BaseCommand):
    """Load the suites that ship."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Make what is missing and name each."""
        for suite in ensure_shipped(now=now()):
            self.stdout.write(f"{suite}: {suite.packet_count} packets")
