"""The long-lived process that measures engines and GPUs. One leader at a time, by a Postgres
advisory lock.

Each term begins with nothing but the database: counts need two scrapes, so the first one of a term
gives gauges only.
"""

import logging
import time

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from apps.fleet.metrics.scrape import Scraper, Source, source_from_settings
from worker.processes.leader import is_leader

LEADER_LOCK = 7_202_611_003  # any number that no other process of ours uses
log = logging.getLogger(__name__)


def run(source: Source) -> None:
    """Measure for ever. While the database is away, wait, then begin a new term."""
    while True:
        try:
            _lead(source)
        except (OperationalError, InterfaceError) as error:
            log.warning("the database is away (%s); trying again", type(error).__name__)
            connection.close()
        time.sleep(5)


def _lead(source: Source) -> None:
    if not is_leader(LEADER_LOCK):
        return
    scraper, interval = Scraper(source), settings.METRICS_INTERVAL_SECONDS
    while True:
        begun = time.monotonic()
        scraper.step()
        time.sleep(max(1.0, interval - (time.monotonic() - begun)))


def run_from_settings() -> None:
    """Measure what this deployment has: by scraping, or through PROMETHEUS_URL."""
    run(source_from_settings())
