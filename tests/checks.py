"""`python -m tests.checks` (of `make lint`): types, models that changed without a migration, and
whether the API's document is made without a warning.
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line
from mypy import api

import tests.environment  # noqa: F401 (sets what the settings need)


def main() -> None:
    """Exit with 1 and name what is wrong."""
    said, errors, code = api.run([])
    print(said or errors, end="", flush=True)
    if code:
        sys.exit(code)
    execute_from_command_line(["manage.py", "makemigrations", "--check", "--dry-run"])
    execute_from_command_line(
        ["manage.py", "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull]
    )


if __name__ == "__main__":
    main()
