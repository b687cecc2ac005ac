"""`python -m deploy.local.doubles.idp`: serves the provider on the issuer's loopback port."""

from __future__ import annotations

import logging
import signal
import sys

from werkzeug.serving import make_server

from .app import create_app
from .settings import settings_from


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line per health check
    settings = settings_from()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = make_server("127.0.0.1", settings.port, create_app(settings), threaded=True)
    logging.info("identity provider %s", settings.issuer)
    server.serve_forever()


if __name__ == "__main__":
    main()
