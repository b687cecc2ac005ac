"""Whether a change lets a rollout start: only where everything was read, lately, and fits."""

from datetime import timedelta

import pytest

from apps.promotions.changes.gate import CHECK_OLD, fresh_for, gate_of, waits_for
from tests.factories import NOW
from tests.promotions import factories as make
from tests.promotions.changes.records import HOUR, ready

SECOND = timedelta(seconds=1)
WAITS = {
    "not opened yet": ({"status": "OPENING", "number": ""}, "still to be opened"),
    "never read": ({"read_at": None}, "still to be opened"),
    "in doubt": ({"reason": "TWO_CHANGES", "message": "Two changes."}, "Two changes."),
    "read too long ago": ({"read_at": NOW - HOUR}, "last read at 2 Nov 08:00 UTC"),
    "altered": (
        {"differences": [{"field": "description", "wrote": "a", "found": "b"}]},
        "no longer says what was written when it was opened: description",
    ),
    "canceled there": ({"state": "4"}, "was canceled in ServiceNow"),
    "closed there": (
        {"state": "3", "status": "CLOSED", "closed_at": NOW, "read_at": NOW - HOUR},
        "was closed in ServiceNow",
    ),
    "rejected": ({"approval": "rejected", "state": "-5"}, "was rejected"),
    "not approved": (
        {"approval": "requested", "state": "-4", "state_words": "Assess"},
        "waits for its approval in ServiceNow (Assess)",
    ),
    "approved by a word nobody knows": ({"approval": "Approved!"}, "waits for its approval"),
    "on hold": ({"on_hold": True}, "on hold"),
    "approved, not scheduled": (
        {"state": "-3", "state_words": "Authorize"},
        "not scheduled in ServiceNow (Authorize)",
    ),
    "in review already": ({"state": "0", "state_words": "Review"}, "not scheduled"),
    "without a window": ({"ends_at": None}, "no planned start and end"),
    "before its window": ({"starts_at": NOW + SECOND}, "begins at 2 Nov 09:00 UTC"),
    "at the end of its window": ({"ends_at": NOW}, "ended at 2 Nov 09:00 UTC"),
    "in conflict": ({"conflicts": ["CHG0000007 at the same time"]}, "CHG0000007 at the same time"),
    "not checked for conflicts": ({"conflicts_read_at": None}, "being checked"),
    "checked long ago": ({"conflicts_read_at": NOW - CHECK_OLD - SECOND}, "being checked"),
}


class TestWaitsFor:
    @pytest.mark.parametrize("what", WAITS)
    def test_says_what_is_missing(self, what):
        facts, words = WAITS[what]
        assert words in waits_for(ready(**facts), NOW)

    @pytest.mark.parametrize(
        "facts",
        [
            {},
            {"state": "-1"},
            {"starts_at": NOW},
            {"ends_at": NOW + SECOND},
            {"read_at": NOW - fresh_for()},
            {"conflicts_read_at": NOW - CHECK_OLD},
        ],
    )
    def test_finds_nothing_where_all_fits(self, facts):
        assert waits_for(ready(**facts), NOW) == ""


@pytest.mark.django_db
class TestGateOf:
    @pytest.fixture
    def promotion(self, registered_model):
        return make.rolled(registered_model, 1).promotion

    @pytest.fixture
    def configured(self, settings):
        settings.SERVICENOW_URL = "https://meridian.service-now.com"

    def test_is_open_without_servicenow_where_the_policy_allows_that(self, promotion):
        gate = gate_of(promotion, NOW)
        assert (gate.needed, gate.is_open_for_start) == (False, True)
        assert "No ServiceNow is configured" in gate.words

    def test_is_shut_without_servicenow_where_the_policy_requires_a_change(self, promotion):
        gate = gate_of(promotion, NOW, policy="required")
        assert (gate.needed, gate.is_open_for_start) == (True, False)
        assert "SERVICENOW_URL" in gate.words

    def test_needs_nothing_where_the_policy_asks_for_none(self, promotion, configured):
        gate = gate_of(promotion, NOW, policy="none")
        assert (gate.needed, gate.is_open_for_start) == (False, True)

    def test_is_shut_until_there_is_a_change(self, promotion, configured):
        assert not gate_of(promotion, NOW).is_open_for_start
        assert gate_of(promotion, NOW).needed

    def test_reads_the_promotions_own_normal_change(
        self, promotion, configured, registered_model, django_assert_num_queries
    ):
        other = make.rolled(registered_model, 2, status="REPLACED").promotion
        ready(promotion=promotion, correlation_id="1", kind="EMERGENCY", number="CHG1").save()
        ready(promotion=other, correlation_id="2", number="CHG2").save()
        assert not gate_of(promotion, NOW).is_open_for_start
        ready(promotion=promotion, correlation_id="3", number="CHG3").save()
        with django_assert_num_queries(1):
            gate = gate_of(promotion, NOW)
        assert gate.is_open_for_start
        assert gate.number == "CHG3"
        assert gate.url == f"https://meridian.service-now.com/change_request.do?sys_id={'a' * 32}"
        assert gate.words == "CHG3 is approved, and its window is open until 2 Nov 10:00 UTC."
        assert not gate_of(promotion, NOW + HOUR).is_open_for_start
