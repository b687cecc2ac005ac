"""`manage.py grant_privileges`: give the portal's role exactly what portal/privileges.py says.

It runs after `migrate`, as the owner of the tables. It can run at any time: first it takes away
whatever the role had, then it grants, in one transaction. Where a pooler stands before the
database, it also makes the time limits of statements the role's own.
"""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from portal.database import as_owner, keep_limits, role_problems
from portal.privileges import statements


class Command(BaseCommand):
    """Revoke everything from the portal's role, then grant what the code needs."""

    help = "Give the portal's database role exactly the privileges that its code needs."

    def handle(self, *args: Any, **options: Any) -> None:
        """Grant as the owner; say where one role is both, so that there is nothing to grant."""
        role = settings.DATABASE_ROLE
        if not role:
            raise CommandError("DATABASE_URL names no user, so there is nobody to grant to.")
        if settings.DATABASE_DIRECT:
            keep_limits()
        with as_owner():
            if self._owner() == role:
                self.stderr.write(
                    f"{role} owns the tables: nothing is granted, and the portal can switch off "
                    f"the triggers that keep history. Set MIGRATIONS_DATABASE_URL."
                )
                return
            with transaction.atomic(), connection.cursor() as cursor:
                for statement in statements(role, connection.ops.quote_name):
                    cursor.execute(statement)
            for problem in role_problems(role):
                self.stderr.write(problem)
        self.stdout.write(f"{role} has the privileges that the portal needs.")

    def _owner(self) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            return str(cursor.fetchone()[0])
