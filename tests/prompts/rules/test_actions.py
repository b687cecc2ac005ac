"""What is kept: rules that may be written, and the two people who change them."""

from datetime import UTC, datetime, timedelta

import pytest

from apps.audit.models import AuditEvent
from apps.common.decisions import AlreadyDecided, NotOnesOwn
from apps.common.errors import NotPermitted
from apps.prompts.rules import actions
from apps.prompts.rules.actions import BadRetention
from apps.prompts.rules.models import RetentionRevision
from apps.prompts.rules.queries import FIRST, in_force, rules_of
from apps.prompts.rules.rules import BadRules, Mode, Rules
from tests.factories import NOW

LONGER = Rules("REQUIRED", 400, {"extract": "BEST_EFFORT"})


class TestRules:
    def test_are_read_back_as_they_were_written(self):
        assert Rules.of(LONGER.as_json()) == LONGER
        assert LONGER.mode_of("extract") == Mode.BEST_EFFORT
        assert LONGER.mode_of("other") == Mode.REQUIRED

    @pytest.mark.parametrize(
        "body",
        [
            {"mode": "SAMPLE", "kept_days": 30},
            {"mode": "OFF", "kept_days": 0},
            {"mode": "OFF", "kept_days": True},
            {"mode": "OFF", "kept_days": 3654},
            {"mode": "OFF", "kept_days": "30"},
            {"mode": "OFF", "kept_days": 30, "models": {"a": "SOMETIMES"}},
            {"mode": "OFF", "kept_days": 30, "models": ["a"]},
            {"mode": "OFF", "kept_days": 30, "share": 0.1},
            {"kept_days": 30},
        ],
    )
    def test_refuse_what_no_retention_says(self, body):
        with pytest.raises(BadRules):
            Rules.of(body)

    def test_end_at_the_end_of_a_day_so_that_records_of_one_day_end_together(self):
        rules = Rules("REQUIRED", 30)
        ends = {rules.until(datetime(2026, 11, 2, hour, tzinfo=UTC)) for hour in (0, 12, 23)}
        assert ends == {datetime(2026, 12, 3, tzinfo=UTC)}


def propose(ada, rules=LONGER, data_class="PHI"):
    return actions.propose_retention(
        data_class=data_class, rules=rules, justification="As counsel asked.", requester=ada,
        now=NOW,
    )  # fmt: skip


@pytest.mark.django_db
class TestProposeRetention:
    def test_ships_with_rules_until_somebody_decides(self):
        assert {one: ruling.rules for one, ruling in in_force(NOW).items()} == FIRST

    def test_writes_down_what_it_changes(self, ada):
        change = propose(ada)
        assert change.before.rules == FIRST["PHI"] and change.before.number == 1
        event = AuditEvent.objects.get(action="prompt_retention.proposed")
        assert event.data["after"] == LONGER.as_json()
        assert rules_of("PHI", NOW).rules == FIRST["PHI"]

    @pytest.mark.parametrize("who", ["alice", "carol", "charlie"])
    def test_is_an_auditors(self, request, who):
        with pytest.raises(NotPermitted, match="Only an auditor"):
            propose(request.getfixturevalue(who))

    def test_refuses_no_change_and_a_second_one_at_once(self, ada, anton):
        with pytest.raises(BadRetention, match="Nothing changes"):
            propose(ada, FIRST["PHI"])
        propose(ada)
        with pytest.raises(BadRetention, match="waits for a decision"):
            propose(anton, Rules("OFF", 30))
        propose(anton, data_class="INTERNAL")


@pytest.mark.django_db
class TestApproveRetention:
    def approve(self, change, who):
        return actions.approve_retention(change=change, approver=who, reason="Right.", now=NOW)

    @pytest.mark.parametrize("who", ["carol", "anton"])
    def test_puts_it_in_force_for_that_class_alone(self, request, ada, who):
        revision = self.approve(propose(ada), request.getfixturevalue(who))
        assert revision.number == 2
        assert rules_of("PHI", NOW).rules == LONGER
        assert rules_of("PHI", NOW - timedelta(days=1)).rules == FIRST["PHI"]
        assert rules_of("INTERNAL", NOW).rules == FIRST["INTERNAL"]
        event = AuditEvent.objects.get(action="prompt_retention.approved")
        assert event.data["digest"] == revision.digest

    def test_takes_another_person_once(self, ada, anton, carol, charlie):
        change = propose(ada)
        with pytest.raises(NotOnesOwn):
            self.approve(change, ada)
        with pytest.raises(NotPermitted):
            self.approve(change, charlie)
        actions.reject_retention(change=change, approver=carol, reason="Too long.", now=NOW)
        with pytest.raises(AlreadyDecided):
            self.approve(change, anton)
        assert RetentionRevision.objects.count() == 1

    def test_withdrawing_is_the_authors(self, ada, anton):
        change = propose(ada)
        with pytest.raises(NotPermitted):
            actions.withdraw_retention(change=change, actor=anton, now=NOW)
        assert actions.withdraw_retention(change=change, actor=ada, now=NOW).status == "WITHDRAWN"
