"""Which rule of the database a refused change broke, so that people are told the real one."""

import psycopg
from django.db import IntegrityError


def broken_rule(error: IntegrityError) -> str:
    """Return the name of the constraint that a change broke, a trigger's own among them; "" where
    the database named none.
    """
    cause = error.__cause__
    return (cause.diag.constraint_name or "") if isinstance(cause, psycopg.Error) else ""
