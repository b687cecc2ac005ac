"""What a change needs next, from what the rows and ServiceNow say."""

import pytest

from apps.integrations.servicenow.types import Change
from apps.promotions.changes.plan import (
    WAITING,
    Aim,
    Goal,
    Situation,
    aim_of,
    differences,
    may_start,
    pick,
    wanted,
)
from apps.promotions.models import Promotion, Rollout

ALLOWED, CARRIED_OUT = Aim(Goal.ALLOWED), Aim(Goal.CARRIED_OUT)
CLOSE, CANCEL = Aim(Goal.ENDED, "SUCCESSFUL", "Done."), Aim(Goal.ENDED, "CANCELED", "No.")


def change(number="CHG1", sys_id="a", state="-5", correlation_id="ours", **fields):
    return Change(
        sys_id=sys_id, number=number, correlation_id=correlation_id, state=state, state_words="",
        approval="", approval_words="", on_hold=False, starts_at=None, ends_at=None, fields=fields,
    )  # fmt: skip


class TestPick:
    def test_makes_one_where_there_is_none(self):
        assert pick("", []).change is None
        assert pick("", []).problem == ""

    def test_adopts_the_only_one(self):
        assert pick("", [change("CHG1", state="-2")]).change.number == "CHG1"

    def test_two_are_an_alarm_whether_known_or_not(self):
        two = [change("CHG1", "a"), change("CHG2", "b", state="3")]
        for known in ("", "a", "b"):
            found = pick(known, two)
            assert found.change is None
            assert "CHG1 and CHG2 carry the same correlation id" in found.problem

    def test_a_canceled_one_is_no_rival(self):
        two = [change("CHG1", "a", state="4"), change("CHG2", "b")]
        assert pick("", two).change.number == "CHG2"
        assert pick("a", two).change.number == "CHG1"
        assert pick("", two[:1]).change.number == "CHG1"

    def test_does_not_take_another_for_the_one_it_knows(self):
        assert pick("z", [change("CHG1", "a")]).change is None


class TestDifferences:
    FIELDS = {"type": "normal", "description": "sha256:ab", "correlation_id": "ours"}

    def test_finds_none_where_it_says_what_we_wrote(self):
        assert differences(self.FIELDS, change(description="sha256:ab")) == []

    def test_names_what_was_altered_dropped_or_given_to_another(self):
        altered = change(description="sha256:cd", correlation_id="theirs")
        assert [item["field"] for item in differences(self.FIELDS, altered)] == [
            "correlation_id",
            "description",
        ]
        (dropped,) = differences(self.FIELDS, change())
        assert dropped == {"field": "description", "wrote": "sha256:ab", "found": ""}

    def test_leaves_out_what_a_template_fills(self):
        assert differences(self.FIELDS, change(description="theirs"), {"description"}) == []


class TestAimOf:
    @pytest.mark.parametrize("status", Promotion.Status)
    def test_before_a_rollout_follows_the_decision(self, status):
        aim = aim_of(Situation("NORMAL", status))
        if status in WAITING:
            assert aim == ALLOWED
        else:
            assert (aim.goal, aim.outcome) == (Goal.ENDED, "CANCELED")
            assert Promotion.Status(status).label.lower() in aim.notes

    @pytest.mark.parametrize(
        ("facts", "outcome"),
        [
            ({"rollout": "ABORTED"}, "UNSUCCESSFUL"),
            ({"rollout": "SUPERSEDED"}, "UNSUCCESSFUL"),
            ({"rollout": "LIVE", "settled": True}, "SUCCESSFUL"),
            ({"rollout": "LIVE", "settled": True, "troubled": True}, "WITH_ISSUES"),
            ({"rollout": "REPLACED", "settled": True}, "SUCCESSFUL"),
            ({"rollout": "LIVE", "rolled_back": True}, "UNSUCCESSFUL"),
            ({"rollout": "LIVE", "settled": True, "rolled_back": True}, "UNSUCCESSFUL"),
        ],
    )
    def test_ends_with_the_rollouts_outcome(self, facts, outcome):
        aim = aim_of(Situation("NORMAL", "APPROVED", **facts))
        assert (aim.goal, aim.outcome) == (Goal.ENDED, outcome)
        assert aim.notes

    @pytest.mark.parametrize("status", ["PENDING", "PROGRESSING", "FAILED", "LIVE"])
    def test_stays_open_while_the_end_is_open(self, status):
        assert aim_of(Situation("NORMAL", "APPROVED", rollout=status)) == CARRIED_OUT

    def test_covers_every_status_of_a_rollout(self):
        for status in Rollout.Status:
            assert aim_of(Situation("NORMAL", "APPROVED", rollout=status, settled=True))

    def test_a_normal_change_gives_way_to_an_emergency(self):
        facts = {"rollout": "PROGRESSING", "has_emergency": True}
        assert aim_of(Situation("NORMAL", "PENDING", **facts)).outcome == "CANCELED"
        assert aim_of(Situation("EMERGENCY", "PENDING", **facts)) == CARRIED_OUT


class TestMayStart:
    @pytest.mark.parametrize(
        ("facts", "expected"),
        [
            ({"promotion": "PENDING"}, True),
            ({"promotion": "APPROVED"}, True),
            ({"promotion": "WITHDRAWN"}, False),
            ({"promotion": "APPROVED", "rollout": "PROGRESSING"}, False),
            ({"promotion": "APPROVED", "rollout": "FAILED"}, True),
            ({"promotion": "APPROVED", "rollout": "ABORTED"}, False),
        ],
    )
    def test_before_a_start_and_before_another_try(self, facts, expected):
        assert may_start(Situation("NORMAL", **facts)) == expected


class TestWanted:
    @pytest.mark.parametrize(
        ("aim", "state", "approval", "states"),
        [
            # asks for approval, in whatever model
            (ALLOWED, "-5", "not requested", ("-4", "-3", "-2")),
            # people decide; what they rejected is not asked again
            (ALLOWED, "-5", "rejected", ()),
            (ALLOWED, "-4", "requested", ()),
            (ALLOWED, "-3", "requested", ()),
            (ALLOWED, "-3", "approved", ("-2",)),
            # carried out only once the rollout started
            (ALLOWED, "-2", "approved", ()),
            (CARRIED_OUT, "-2", "approved", ("-1",)),
            (CARRIED_OUT, "-1", "approved", ()),
            (CARRIED_OUT, "-5", "not requested", ("-1", "-4", "-3", "-2")),
            # the end, step by step
            (CLOSE, "-2", "approved", ("-1",)),
            (CLOSE, "-1", "approved", ("0", "3")),
            (CLOSE, "0", "approved", ("3",)),
            (CANCEL, "-4", "requested", ("4",)),
            (CANCEL, "0", "approved", ("4",)),
        ],
    )
    def test_names_the_best_first(self, aim, state, approval, states):
        assert wanted(aim, state, approval) == states

    def test_never_cancels_what_is_to_be_closed_nor_the_other_way_round(self):
        for state in ("-5", "-4", "-3", "-2", "-1", "0"):
            for approval in ("not requested", "requested", "approved", "rejected"):
                assert "4" not in wanted(CLOSE, state, approval)
                assert "3" not in wanted(CANCEL, state, approval)
