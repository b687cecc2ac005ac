"""`python -m deploy.local.doubles.servicenow`: serves the instance on its loopback port."""

from __future__ import annotations

import logging
import signal
import sys

from werkzeug.serving import make_server

from .app import create_app, slowly
from .settings import settings_from


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not a line per look of the portal
    settings = settings_from()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    app = slowly(create_app(settings))
    server = make_server("127.0.0.1", settings.port, app, threaded=True)
    logging.info("ServiceNow double %s", settings.address)
    server.serve_forever()


if __name__ == "__main__":
    main()
