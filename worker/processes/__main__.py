"""Starts a long-lived process by its name: `python -m worker.processes usage_follower`."""

import os
import sys
from importlib import import_module

import django

PROCESSES = ("beat", "usage_follower", "observer", "scraper", "sealer", "registry", "gate")


def main(name: str) -> None:
    """Set Django up and run the process. Raises SystemExit for a name that does not exist."""
    if name not in PROCESSES:
        raise SystemExit(f"No process is called {name!r}. There are: {', '.join(PROCESSES)}.")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    # who leads holds a lock for as long as its connection lives, which no pooler may share
    import_module("apps.integrations.postgres.direct").use_for_this_process()
    from apps.integrations.otlp import sending  # reads the settings

    (sending.start_steps if name == "gate" else sending.start)(name)
    import_module(f"worker.processes.{name}").run_from_settings()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) == 2 else "")
