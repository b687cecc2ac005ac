"""What pages say of the sample year."""

from django.conf import settings

from apps.common.simulated import Sample
from apps.metering.backfill.queries import sample
from portal.sample.company import NAME


def shown_sample() -> Sample | None:
    """Return the sample that pages show, or will; None where there is none. One query, none where
    there can be none.
    """
    found = sample() if settings.SAMPLE != "none" else None
    if found is None:
        return None
    return Sample(
        company=NAME,
        since=found.since,
        until=found.until,
        days=found.days,
        stored=found.days_stored,
        is_finished=found.finished_at is not None,
    )
