"""The calls of the sample's days: always the same, believable, and no more than they may be."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from apps.common.periods import end_of_day, hour_of, month_of, start_of_day
from apps.metering.models import Outcome
from apps.metering.screening import Known, doubt_of
from portal.sample.calls import busyness, calls, is_holiday, served_hours
from portal.sample.company import enlarged, meridian
from portal.sample.people import PEOPLE
from tests.portal.sample.conftest import COMPANY, EVERY, UNTIL

MONDAY, SUNDAY = date(2026, 9, 21), date(2026, 9, 20)


def model(name):
    return next(each for each in COMPANY.models if each.name == name)


class TestTheYear:
    def test_has_thirteen_months_until_now(self):
        assert COMPANY.first_day == date(2025, 11, 1)
        assert COMPANY.days[-1] == date(2026, 11, 27)
        assert len({month_of(start_of_day(day)) for day in COMPANY.days}) == 13

    def test_has_enough_calls_and_no_more_than_it_may(self, all_calls):
        assert 200_000 < EVERY * len(all_calls) < 380_000
        assert len({call.record.event_id for _, call in all_calls}) == len(all_calls)

    def test_holds_nothing_that_is_doubted(self, all_calls):
        known = Known(
            teams=frozenset(team.slug for team in COMPANY.teams),
            contexts={each.name: each.context for each in COMPANY.models},
            versions=frozenset(
                f"{each.name}-v{number}"
                for each in COMPANY.models
                for number in COMPANY.versions_of(each)
            ),
            since=COMPANY.start,
        )
        doubts = [
            doubt_of(call.record, known, received_at=end_of_day(day)) for day, call in all_calls
        ]
        assert not any(doubts)

    def test_lies_within_its_days_and_ends_when_it_ends(self, all_calls):
        for day, call in all_calls:
            assert start_of_day(day) <= call.record.occurred_at < min(end_of_day(day), UNTIL)

    def test_has_every_outcome_and_the_engine_knows_what_the_gateway_does_not(self, all_calls):
        records = [call.record for _, call in all_calls]
        outcomes = Counter(record.outcome for record in records)
        assert set(outcomes) == set(Outcome)
        assert outcomes[Outcome.METERED] > 0.95 * len(records)
        for _, call in all_calls:
            if call.record.outcome == Outcome.METERED:
                told = (call.record.input_tokens, call.record.output_tokens)
                assert told == (call.prompt_tokens, call.generation_tokens)
            if call.record.outcome == Outcome.UNMETERED:
                assert call.prompt_tokens
                assert bool(call.generation_tokens) == (call.record.operation != "EMBEDDING")
            if call.record.outcome in (Outcome.REFUSED, Outcome.FAILED):
                assert not call.prompt_tokens and not call.generation_tokens

    def test_moves_to_second_versions_on_a_monday(self, all_calls):
        for name in ("claims-triage", "member-chat"):
            change = COMPANY.version_change(model(name))
            assert change.weekday() == 0
            answered = {
                (day >= change, call.record.version)
                for day, call in all_calls
                if call.record.model == name and call.record.outcome == Outcome.METERED
            }
            assert answered == {(False, f"{name}-v1"), (True, f"{name}-v2")}

    def test_every_team_has_somebody_who_signs_in(self):
        assert {person.team for person in PEOPLE} == {team.slug for team in COMPANY.teams}
        of = {team.slug: team.cost_center for team in COMPANY.teams}
        assert all(of[person.team] == person.cost_center for person in PEOPLE)
        assert (len(COMPANY.teams), len(set(of.values())), len(COMPANY.models)) == (14, 9, 9)


class TestCalls:
    def test_are_the_same_whoever_asks(self):
        assert list(calls(COMPANY, MONDAY)) == list(calls(meridian(UNTIL), MONDAY))
        other = replace(COMPANY, seed="another")
        assert list(calls(COMPANY, MONDAY)) != list(calls(other, MONDAY))

    def test_of_whole_hours_stay_when_the_year_goes_on(self):
        later = replace(COMPANY, until=UNTIL + timedelta(hours=10))
        today = COMPANY.days[-1]
        before = list(calls(COMPANY, today))
        assert before
        assert set(before) < set(calls(later, today))

    def test_surge_on_mondays(self):
        assert busyness(MONDAY) > 4 * busyness(SUNDAY)
        assert len(list(calls(COMPANY, MONDAY))) > 1.5 * len(list(calls(COMPANY, SUNDAY)))

    @pytest.mark.parametrize(
        "day",
        [
            date(2026, 1, 1),
            date(2026, 5, 25),
            date(2026, 7, 4),
            date(2026, 9, 7),
            date(2026, 11, 26),
            date(2026, 11, 27),
            date(2025, 12, 25),
        ],
    )
    def test_are_few_on_holidays(self, day):
        assert is_holiday(day)
        assert busyness(day) < 0.4 * busyness(day + timedelta(days=14))

    @pytest.mark.parametrize(
        "day", [date(2026, 11, 19), date(2026, 11, 20), date(2026, 5, 18), date(2026, 9, 14)]
    )
    def test_are_many_on_other_days(self, day):
        assert not is_holiday(day)

    def test_fail_while_no_spot_machine_could_be_bought(self):
        first, last = COMPANY.shortage
        for day in (first, last):
            nights = [
                call.record for call in calls(COMPANY, day) if call.record.model == "chart-review"
            ]
            early = [one for one in nights if one.occurred_at.hour < 6]
            late = [one for one in nights if one.occurred_at.hour >= 6]
            assert {one.outcome for one in early} <= {Outcome.FAILED, Outcome.REFUSED}
            assert Outcome.METERED in {one.outcome for one in late}
        before = calls(COMPANY, first - timedelta(days=1))
        assert any(
            call.record.outcome == Outcome.METERED and call.record.occurred_at.hour < 6
            for call in before
            if call.record.model == "chart-review"
        )

    def test_come_in_the_hours_of_the_model_alone(self):
        hours = set(served_hours(model("claims-triage"), MONDAY))
        assert hours == set(range(12, 22))
        called = {
            hour_of(call.record.occurred_at).hour
            for call in calls(COMPANY, MONDAY, scale=3)
            if call.record.model == "claims-triage"
        }
        assert called == hours

    def test_can_be_more(self):
        one, ten = (len(list(calls(COMPANY, MONDAY, scale=scale))) for scale in (1, 10))
        assert 8 * one < ten < 12 * one


class TestEnlarged:
    def test_makes_a_company_of_any_size(self):
        large = enlarged(COMPANY, teams=120, models=40)
        assert (len(large.teams), len(large.models)) == (120, 40)
        assert len({team.cost_center for team in large.teams}) == 12
        found = list(calls(large, MONDAY))
        assert len({call.record.model for call in found}) == 40
        assert len({call.record.team for call in found}) == 120
