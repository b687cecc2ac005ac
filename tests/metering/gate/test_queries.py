"""What a month's page says of the gate's figures: of its own hours and calls, and of no others."""

from datetime import timedelta
from uuid import uuid4

import pytest

from apps.metering.gate.models import CountDifference
from apps.metering.gate.queries import cut_calls, differences
from apps.metering.models import HourlyUsage
from tests.factories import NOW

pytestmark = pytest.mark.django_db
START = NOW.replace(day=1, hour=0)
END = START.replace(month=12)
HOUR, LEAST = timedelta(hours=1), timedelta(microseconds=1)


def hour(at, counted, team="claims-review", model="extract"):
    HourlyUsage.objects.create(
        hour=at, cost_center="CC-4100", team=team, model=model, version="", rolled_up_at=at,
        metered_calls=90, counted_calls=counted, unmetered_calls=5, refused_calls=6, failed_calls=7,
        input_tokens=1, cached_input_tokens=0, output_tokens=1,
    )  # fmt: skip


def differs(at):
    return CountDifference.objects.create(
        event_id=uuid4(), occurred_at=at, noted_at=NOW, counts=CountDifference.Side.LOG
    )


class TestCutCalls:
    def test_are_those_of_a_months_hours_of_all_teams_or_of_one(self):
        hour(START, 1)
        hour(END - HOUR, 2)
        hour(END - HOUR, 4, model="summary")
        hour(NOW, 8, team="prior-auth")
        hour(NOW, 0)
        hour(START - HOUR, 16)
        hour(END, 32)
        assert cut_calls(START, END) == 15
        assert cut_calls(START, END, team="claims-review") == 7
        assert cut_calls(START, END, team="prior-auth") == 8
        assert cut_calls(START, END, team="") == cut_calls(START, END, team="nobody") == 0

    def test_are_none_where_there_are_no_hours(self):
        assert cut_calls(START, END) == 0


def test_differences_are_those_of_calls_within_the_time():
    first, last = differs(START), differs(END - LEAST)
    differs(START - LEAST)
    differs(END)
    assert set(differences(START, END)) == {first, last}
