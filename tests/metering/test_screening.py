"""Which records are believed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.metering.access_log import read_record
from apps.metering.quarantine.models import Doubt
from apps.metering.screening import Known, doubt_of
from tests.factories import NOW
from tests.metering.test_access_log import CALL

RECORD = replace(read_record(CALL), occurred_at=NOW)
KNOWN = Known(
    teams=frozenset({"claims-review", "prior-auth"}),
    contexts={"prior-auth-extract": 2048, "other": 512},
    versions=frozenset({"prior-auth-extract-v1", "other-v1"}),
    since=NOW - timedelta(days=60),
)
NO_USAGE = {"input_tokens": None, "cached_input_tokens": None, "output_tokens": None}


def doubt(received_at=NOW, **changes):
    found = doubt_of(replace(RECORD, **changes), KNOWN, received_at=received_at)
    return found[0] if found else None


class TestTime:
    def test_of_a_clock_that_is_an_hour_ahead_is_believed_and_no_more(self):
        hour = timedelta(hours=1)
        assert doubt(occurred_at=NOW + hour) is None
        assert doubt(occurred_at=NOW + hour + timedelta(microseconds=1)) == Doubt.FUTURE
        assert doubt(occurred_at=NOW + hour, received_at=NOW - hour) == Doubt.FUTURE

    def test_late_is_not_wrong_within_the_kept_months(self):
        assert doubt(occurred_at=KNOWN.since) is None
        assert doubt(occurred_at=KNOWN.since - timedelta(microseconds=1)) == Doubt.TOO_OLD

    def test_is_asked_of_every_outcome(self):
        past = KNOWN.since - timedelta(days=1)
        assert doubt(occurred_at=past, outcome="REFUSED", **NO_USAGE) == Doubt.TOO_OLD


class TestInputs:
    @pytest.mark.parametrize("operation", ["EMBEDDING", "COMPLETION"])
    def test_may_be_many_texts_in_one_call(self, operation):
        most = {"operation": operation, "cached_input_tokens": None, "input_tokens": 2048 * 2048}
        assert doubt(**most) is None
        assert doubt(**most | {"input_tokens": 2048 * 2048 + 1}) == Doubt.ABSURD

    @pytest.mark.parametrize("operation", ["CHAT", "OTHER", ""])
    def test_are_one_text_otherwise(self, operation):
        assert doubt(operation=operation, input_tokens=2048) is None
        assert doubt(operation=operation, input_tokens=2049) == Doubt.ABSURD


class TestNames:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"team": "nobody"}, Doubt.TEAM),
            ({"team": ""}, Doubt.TEAM),
            ({"team": "prior-auth"}, None),
            ({"model": "nothing"}, Doubt.MODEL),
            ({"model": "other"}, Doubt.VERSION),
            ({"model": "other", "version": "other-v1"}, None),
            ({"version": "prior-auth-extract-v2"}, Doubt.VERSION),
            ({"version": ""}, Doubt.VERSION),
            ({"outcome": "UNMETERED", "version": "", **NO_USAGE}, None),
            ({"outcome": "UNMETERED", "version": "x-v1", **NO_USAGE}, Doubt.VERSION),
            ({"outcome": "UNMETERED", "team": "nobody", **NO_USAGE}, Doubt.TEAM),
            # what was refused or failed may be so because of what it names
            ({"outcome": "REFUSED", "team": "", "model": "typo", "version": "", **NO_USAGE}, None),
            ({"outcome": "FAILED", "team": "new", "version": "x-v9", **NO_USAGE}, None),
        ],
    )
    def test_must_be_known_of_what_was_answered(self, change, expected):
        assert doubt(**change) == expected


class TestCounts:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"cached_input_tokens": 120}, None),
            ({"cached_input_tokens": 121}, Doubt.ABSURD),
            ({"cached_input_tokens": None}, None),
            ({"cached_input_tokens": None, "input_tokens": 0}, None),
            ({"outcome": "FAILED", "output_tokens": None}, None),
            ({"outcome": "FAILED", "input_tokens": None}, None),
            # of a model that nobody knows there is no context to hold against it
            ({"outcome": "FAILED", "model": "new", "input_tokens": 10**6}, None),
            ({"outcome": "FAILED", "model": "new", "output_tokens": 10**6}, Doubt.ABSURD),
            ({"input_tokens": 2048}, None),
            ({"input_tokens": 2049}, Doubt.ABSURD),
            ({"output_tokens": 2048 * 128, "duration_ms": None}, None),
            ({"output_tokens": 2048 * 128 + 1, "duration_ms": None}, Doubt.ABSURD),
            # a second, and one of room, at 250,000 tokens each; the context would allow 262,144
            ({"output_tokens": 250_001, "duration_ms": 0}, Doubt.ABSURD),
            ({"output_tokens": 250_000, "duration_ms": 0}, None),
            ({"output_tokens": 250_001, "duration_ms": 1000}, None),
            ({"output_tokens": 260_000, "duration_ms": 40}, None),
            ({"output_tokens": 260_001, "duration_ms": 40}, Doubt.ABSURD),
        ],
    )
    def test_must_fit_the_models_context_and_any_card(self, change, expected):
        assert doubt(**change) == expected

    def test_say_what_is_wrong(self):
        words = doubt_of(replace(RECORD, input_tokens=3000), KNOWN, received_at=NOW)[1]
        assert words == "more input tokens than the model's context of 2,048"
        for team, said in (("", "team is missing"), ("nobody", "team names no team")):
            assert doubt_of(replace(RECORD, team=team), KNOWN, received_at=NOW)[1] == said
