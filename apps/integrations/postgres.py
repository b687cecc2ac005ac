"""How the gate's event loop reaches the portal's own database: Django's connections belong to
threads, so what waits in a loop has connections of its own.
"""

from django.db import connection
from psycopg.conninfo import make_conninfo

_WHERE = ("host", "port", "user", "password", "dbname", "sslmode", "sslrootcert")


def address(*, seconds: float) -> str:
    """Return psycopg's address of the portal's database, as Django's settings say.

    seconds: the longest that somebody waits. The server gives a statement up a little before, so
    that nothing goes on there for which nobody waits any more.
    """
    ours = connection.get_connection_params()
    waits = int(seconds * 900)
    return make_conninfo(
        **{name: ours[name] for name in _WHERE if ours.get(name)},
        connect_timeout=max(2, round(seconds)),
        application_name="quartermaster-gate",
        options=f"-c statement_timeout={waits} -c lock_timeout={waits}",
    )
