"""What is known of the speed of versions: by their callers where enough came lately, else nothing
is said here.
"""

from collections.abc import Iterable
from datetime import datetime

from apps.common.periods import DAY
from apps.metering.performance.models import Performance

ENOUGH = 20  # timed calls: a p95 of fewer says what one call met
LATELY = 7 * DAY


def performances(versions: Iterable[str], now: datetime) -> dict[str, Performance]:
    """Return version → how fast it was of late; one query. versions: `<model>-v<n>`. A version with
    fewer than 20 timed calls in its last day of calls, or none for a week, is not there.
    """
    rows = Performance.objects.filter(
        version__in=list(versions), timed__gte=ENOUGH, until__gt=now - LATELY
    )
    return {row.version: row for row in rows}
