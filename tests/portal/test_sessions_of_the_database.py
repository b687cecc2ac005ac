"""Nothing of ours leaves anything behind in a session of the database, which a pooler in
transaction mode shares: what needs a session says so by where it stands.
"""

import re

import pytest
from django.conf import settings

CODE = ("apps", "portal", "worker")
# what belongs to a session, in SQL or in psycopg's words
SESSION_LEVEL = {
    "an advisory lock of a session": r"pg_(try_)?advisory_lock(_shared)?\(",
    "a setting of a session": r"""["']\s*(SET|RESET)\s+(?!LOCAL|TRANSACTION|CONSTRAINTS)\w+"""
    r"""|set_config\([^)]*,\s*false\)""",
    "listening": r"""["'](LISTEN|NOTIFY|UNLISTEN)\s|pg_notify\(|\.notifies\(""",
    "a temporary table": r"CREATE\s+(LOCAL\s+)?TEMP",
    "a prepared statement": r"\bPREPARE\s|prepare=True|prepare_threshold",
    "a cursor that outlives its transaction": r"WITH HOLD|withhold=",
    "a pool in the process": r"psycopg_pool",
}
# these connect past the pooler (apps/integrations/postgres/direct.py)
PAST_IT = {
    "apps/gateway/purse/writer.py": {"a prepared statement"},
    "apps/integrations/postgres/direct.py": {"an advisory lock of a session"},
    "apps/prompts/capture/writer.py": {"a prepared statement"},
    "worker/processes/leader.py": {"an advisory lock of a session"},
}


def found():
    """Return file → what of a session stands in it; migrations connect as the owner, directly."""
    known = {}
    for part in CODE:
        for path in sorted((settings.BASE_DIR / part).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            text = path.read_text()
            kinds = {kind for kind, words in SESSION_LEVEL.items() if re.search(words, text)}
            if kinds:
                known[str(path.relative_to(settings.BASE_DIR))] = kinds
    return known


def test_what_needs_a_session_is_what_connects_past_the_pooler():
    assert found() == PAST_IT
    assert "pool" not in settings.DATABASES["default"]["OPTIONS"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('cursor.execute("SELECT pg_advisory_lock(1)")', "an advisory lock of a session"),
        ('cursor.execute("SELECT pg_try_advisory_lock(%s)")', "an advisory lock of a session"),
        ('cursor.execute("SET statement_timeout = 0")', "a setting of a session"),
        ("cursor.execute(\"SELECT set_config('a.b', %s, false)\")", "a setting of a session"),
        ('cursor.execute("LISTEN changes")', "listening"),
        ('cursor.execute("CREATE TEMP TABLE x ()")', "a temporary table"),
    ],
)
def test_each_is_noticed(text, kind):
    assert re.search(SESSION_LEVEL[kind], text)


@pytest.mark.parametrize(
    "text",
    [
        'cursor.execute("SELECT pg_advisory_xact_lock(1)")',
        'cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)")',
        'cursor.execute("SET LOCAL statement_timeout = 0")',
        'cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")',
        "cursor.execute(\"SELECT set_config('a.b', %s, true)\")",
    ],
)
def test_what_ends_with_its_transaction_is_none_of_them(text):
    assert not [kind for kind, words in SESSION_LEVEL.items() if re.search(words, text)]
