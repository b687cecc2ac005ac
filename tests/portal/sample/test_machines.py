"""The machines of the sample's year: there while they are called, and priced."""

from datetime import datetime, timedelta

import pytest

from apps.common.periods import HOUR, hour_of
from apps.metering.models import Outcome
from portal.sample.company import meridian
from portal.sample.machines import CLAIMED, OVER, RECLAIMED, machines, mondays
from tests.portal.sample.conftest import COMPANY, UNTIL


@pytest.fixture(scope="module")
def year():
    return [one for monday in mondays(COMPANY) for one in machines(COMPANY, monday)]


class TestMachines:
    def test_are_the_same_whoever_asks_and_have_names_of_their_own(self, year):
        again = [one for monday in mondays(COMPANY) for one in machines(COMPANY, monday)]
        assert year == again
        assert len({one.name for one in year}) == len(year)
        pods = [one.pod.name for one in year if one.pod]
        assert len(set(pods)) == len(pods)

    def test_have_their_times_in_order_within_the_year(self, year):
        for one in year:
            assert one.created_at < one.launched_at < one.registered_at < one.initialized_at
            assert one.initialized_at < one.ended_at <= UNTIL
            if one.pod:
                steps = (
                    one.pod.scheduled_at,
                    one.pod.pulled_at,
                    one.pod.loaded_at,
                    one.pod.started_at,
                    one.pod.ready_at,
                    one.pod.ended_at,
                )
                assert list(steps) == sorted(steps) and len(set(steps)) == len(steps)
                assert one.initialized_at < one.pod.scheduled_at
                assert one.pod.ended_at <= one.ended_at

    def test_serve_every_call_that_was_answered(self, year, all_calls):
        ready: set[tuple[str, datetime]] = set()
        for one in year:
            if one.pod:
                hour = hour_of(one.pod.ready_at)
                while hour < one.pod.ended_at:
                    ready.add((one.pod.service, hour))
                    hour += HOUR
        called = {
            (call.record.version, hour_of(call.record.occurred_at))
            for _, call in all_calls
            if call.record.outcome in (Outcome.METERED, Outcome.UNMETERED)
        }
        assert called <= ready

    def test_have_a_price_and_spot_ones_a_lower_one(self, year):
        assert all(one.usd_per_hour > 0 for one in year)
        spot = [one for one in year if one.capacity_type == "spot"]
        listed = {one.instance_type: one.usd_per_hour for one in year if one not in spot}
        assert len({one.instance_type for one in spot}) == 2
        for one in spot:
            assert one.usd_per_hour < listed.get(one.instance_type, one.usd_per_hour + 1)
            assert one.price_basis.startswith("simulated")

    def test_are_taken_back_and_replaced_at_times(self, year):
        taken = [one for one in year if one.end_reason == RECLAIMED]
        assert len(taken) > 10
        for one in taken:
            assert one.capacity_type == "spot"
            assert [each for each in year if each.created_at == one.ended_at + CLAIMED]

    def test_are_bought_late_and_on_demand_in_the_shortage(self, year):
        first, last = COMPANY.shortage
        nights = [
            one
            for one in year
            if one.pod
            and one.pod.model in ("chart-review", "fraud-screen")
            and first <= one.created_at.date() <= last
        ]
        assert len(nights) == 6
        assert {one.capacity_type for one in nights} == {"on-demand"}

    def test_end_with_the_year(self, year):
        left = [one for one in year if one.end_reason == OVER]
        assert left and {one.ended_at for one in left} == {UNTIL}
        assert max(one.ended_at for one in year) == UNTIL

    def test_reach_the_same_end_when_the_year_is_cut_short(self, year):
        short = meridian(UNTIL - timedelta(days=3))
        cut = [one for monday in mondays(short) for one in machines(short, monday)]
        ended = [one for one in year if one.ended_at <= short.until]
        assert ended == [one for one in cut if one.end_reason != OVER]
