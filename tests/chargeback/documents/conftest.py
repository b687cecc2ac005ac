"""Statements of two closed months, and the archive that their PDFs are kept in."""

from datetime import timedelta

import pytest

from apps.chargeback.closing.models import Statement
from tests.chargeback import months
from tests.fleet.machines import machine

LATER = months.AFTER + timedelta(days=30)


@pytest.fixture(scope="session")
def kept_statements(keeper):
    """October, closed."""
    keeper.keep("kept_statements", closed_october)


def closed_october():
    """Make October and close it."""
    months.october()
    months.closed()


@pytest.fixture
def october(kept_statements, db):
    """The statements of October."""
    return statements()


@pytest.fixture
def november(october):
    """The statements of November, one of which corrects October."""
    more = {"output_tokens": 900_000}
    months.call("chat", months.START + timedelta(hours=9), "late", "CC-4100", **more)
    machine("extra", 40, 47, price="9.1")
    months.settled(LATER)
    months.closed(months.NOVEMBER, now=LATER)
    return statements(months.NOVEMBER)


def statements(month=months.OCTOBER):
    """Return the statements of a month."""
    return list(Statement.objects.select_related("close").filter(close__month=month))
