"""`python -m tests.check_migrations`: fails where the models changed without a migration (`make lint`)."""

from __future__ import annotations

from django.core.management import execute_from_command_line

import tests.environment  # noqa: F401 (sets what the settings need)


def main() -> None:
    """Exit with 1 and name what is missing."""
    execute_from_command_line(["manage.py", "makemigrations", "--check", "--dry-run"])


if __name__ == "__main__":
    main()
