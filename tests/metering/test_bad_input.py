"""What no honest gateway sends, or sends in another order: counted once, or apart, and never in the
way of what is right.
"""

import itertools
import json
from datetime import timedelta

import pytest
from django.db import transaction

from apps.metering import actions, store
from apps.metering.follow import read_lines
from apps.metering.models import DirtyHour, HourlyUsage, UsageEvent
from apps.metering.quarantine.models import Doubt, QuarantinedRecord
from tests.factories import NOW
from tests.metering.test_access_log import CALL
from tests.metering.test_ingest import call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("names")]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def at(moment, **changes):
    return call() | {"start_time": moment.isoformat()} | changes


def arrive(*calls, now=NOW, via="OTLP"):
    entries = read_lines(json.dumps(each).encode() for each in calls)
    return actions.ingest_storable(entries=entries, via=via, now=now)


def sums(now=NOW):
    """Return the hourly sums once all are made, without when that was."""
    actions.roll_up_dirty_hours(now=now)
    rows = HourlyUsage.objects.order_by("hour", "cost_center", "team", "model", "version").values()
    return [{k: v for k, v in row.items() if k not in ("id", "rolled_up_at")} for row in rows]


class TestAClockADayAhead:
    def test_counts_in_no_total_and_does_not_say_how_fresh_everything_is(self):
        came = arrive(at(NOW + DAY), at(NOW - HOUR), at(NOW + 9 * 365 * DAY))
        assert (came.stored, came.quarantined) == (1, {Doubt.FUTURE: 2})
        assert [row["metered_calls"] for row in sums()] == [1]
        assert store.latest_call_at() == NOW - HOUR
        assert store.in_quarantine(NOW, NOW + 2 * DAY) == 1

    def test_stays_apart_though_its_day_has_come(self):
        """It was wrong when it was received: nobody knows when the call began."""
        arrive(at(NOW + DAY))
        arrive(at(NOW + DAY), now=NOW + DAY)
        assert set(UsageEvent.objects.values_list("received_at", flat=True)) == {NOW + DAY}
        assert QuarantinedRecord.objects.get().doubt == Doubt.FUTURE


class TestCountsThatNoCardMakes:
    @pytest.mark.parametrize("count", [10**18, 2**53 - 1, 2**63, 1e300, float("inf"), -1, 0.5])
    @pytest.mark.parametrize("key", ["input", "output"])
    def test_stop_no_hour_and_no_other_call(self, count, key):
        bad = [at(NOW, **{f"gen_ai.usage.{key}_tokens": count}) for _ in range(3)]
        came = arrive(at(NOW), *bad, at(NOW + HOUR))
        assert (came.stored, came.quarantined.total()) == (2, 3)
        assert [(row["hour"], row["metered_calls"]) for row in sums()] == [
            (NOW, 1),
            (NOW + HOUR, 1),
        ]
        assert not DirtyHour.objects.exists()

    def test_hold_for_cached_tokens_beyond_the_input(self):
        came = arrive(at(NOW, **{"gen_ai.usage.cached_input_tokens": 121}))
        assert came.quarantined == {Doubt.ABSURD: 1}
        assert sums() == []


class TestBatches:
    @pytest.fixture
    def calls(self):
        return [
            at(NOW, **{"x-request-id": CALL["x-request-id"]}),
            at(NOW + HOUR, team="prior-auth"),
            at(NOW - DAY, path="/v1/embeddings"),
            at(NOW, team="nobody"),
        ]

    def test_in_any_order_and_cut_anywhere_come_to_the_same(self, calls):
        found = []
        for order in itertools.permutations(calls):
            for cut in range(len(order) + 1):
                with transaction.atomic():
                    arrive(*order[:cut], via="FILE")
                    arrive(*order[cut:])
                    arrive(*order[1:])
                    found.append((sums(), QuarantinedRecord.objects.count()))
                    transaction.set_rollback(True)  # nothing else takes a call out again
        wanted, apart = found[0]
        assert (sum(row["metered_calls"] for row in wanted), apart) == (3, 1)
        assert all(each == found[0] for each in found)

    def test_with_one_id_under_other_counts_keep_the_first_in_either_order(self, calls):
        first, other = calls[0], calls[0] | {"gen_ai.usage.output_tokens": 31}
        arrive(first, other)
        arrive(other)
        arrive(other, first)
        assert [row["output_tokens"] for row in sums()] == [30]
        assert QuarantinedRecord.objects.get().doubt == Doubt.OTHER_COUNTS
