"""Starts `make bench-guard`. The rules' words come from the catalog, which wants settings, and no
database is asked.
"""

import django

import tests.environment  # noqa: F401 (sets what the settings need)

django.setup()

if __name__ == "__main__":
    from tests.benchmarks.guard.measuring import main

    raise SystemExit(main())
