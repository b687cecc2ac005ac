"""One leader at a time among the copies of a long-lived process, by a Postgres advisory lock.

The lock lives as long as the database connection that took it: who loses the one has lost the
other.
"""

from django.db import connection


def is_leader(lock: int) -> bool:
    """Take a process's lock where nobody holds it, and tell whether this connection has it. One
    query.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        row = cursor.fetchone()
    return bool(row and row[0])
