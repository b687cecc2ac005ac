"""`python -m deploy.local.doubles.mail`: takes mail on MAIL_SMTP_PORT, shows it on MAIL_WEB_PORT,
both on the loopback; keeps it in MAIL_STATE.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from aiosmtpd.controller import Controller
from werkzeug.serving import make_server

from .app import create_app
from .hooks import Hooks
from .inbox import MOST_BYTES, Inbox, Taker


def main() -> None:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in ("werkzeug", "mail.log"):
        logging.getLogger(name).setLevel(logging.WARNING)  # not a line per health check
    smtp, web = int(os.environ["MAIL_SMTP_PORT"]), int(os.environ["MAIL_WEB_PORT"])
    inbox = Inbox(Path(os.environ["MAIL_STATE"]))
    taker = Controller(Taker(inbox), "127.0.0.1", smtp, data_size_limit=MOST_BYTES)
    taker.start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = make_server("127.0.0.1", web, create_app(inbox, Hooks()), threaded=True)
    logging.info("inbox on http://127.0.0.1:%d, SMTP on %d", web, smtp)
    try:
        server.serve_forever()
    finally:
        taker.stop()


if __name__ == "__main__":
    main()
