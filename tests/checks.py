"""`python -m tests.checks` (of `make lint`): types, and models that changed without a migration."""

from __future__ import annotations

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


if __name__ == "__main__":
    main()
