"""`python -m deploy.local.doubles.guard`: a stand-in for guard models and presidio's analyzer on
GUARD_PORT, on the loopback.
"""

from __future__ import annotations

import os

from granian import Granian
from granian.constants import Interfaces


def main() -> None:
    """Serve until SIGTERM."""
    Granian(
        "deploy.local.doubles.guard.app:app",
        address="127.0.0.1",
        port=int(os.environ["GUARD_PORT"]),
        interface=Interfaces.ASGINL,
        workers=1,
    ).serve()


if __name__ == "__main__":
    main()
