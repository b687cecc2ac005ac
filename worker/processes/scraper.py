"""The long-lived process that measures engines and GPUs.

Each term begins with nothing but the database: counts need two scrapes, so the first one of a term
gives gauges only.
"""

import time
from functools import partial

from django.conf import settings

from apps.fleet.metrics.scrape import Scraper, Source, source_from_settings
from worker.processes.leader import Lock, lead


def measure(source: Source) -> None:
    """Measure for one term: until the database is away."""
    scraper, interval = Scraper(source), settings.METRICS_INTERVAL_SECONDS
    while True:
        begun = time.monotonic()
        scraper.step()
        time.sleep(max(1.0, interval - (time.monotonic() - begun)))


def run_from_settings() -> None:
    """Measure what this deployment has: by scraping, or through PROMETHEUS_URL."""
    lead(Lock.SCRAPER, partial(measure, source_from_settings()))
