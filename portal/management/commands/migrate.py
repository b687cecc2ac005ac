"""`manage.py migrate`: Django's own, as the owner of the tables (MIGRATIONS_DATABASE_URL)."""

from typing import Any

from django.core.management.commands import migrate

from portal.database import as_owner


class Command(migrate.Command):
    """Migrate as the owner of the tables."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Connect as the owner first: Django's own checks ask the database, too."""
        with as_owner():
            return super().execute(*args, **options)
