"""Every third day of the sample's year, made once."""

from datetime import UTC, datetime

import pytest

from portal.sample.calls import calls
from portal.sample.company import meridian

UNTIL = datetime(2026, 11, 27, 7, tzinfo=UTC)
COMPANY = meridian(UNTIL)
EVERY = 3


@pytest.fixture(scope="session")
def all_calls():
    """Return the day and the call of every call of every third day of the year."""
    return [(day, call) for day in COMPANY.days[::EVERY] for call in calls(COMPANY, day)]
