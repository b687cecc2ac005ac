"""What a policy may say, and what is in no policy's power."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apps.promotions.policy import words
from apps.promotions.policy.freezes import Freeze
from apps.promotions.policy.rules import BOUNDS, WHOLE, BadRules, Rules

WEEKEND = Freeze("No weekend starts.", "fri 16:00", "mon 08:00", "UTC", ("triage",))


class TestOf:
    def test_reads_what_as_json_writes(self):
        rules = Rules(
            approvals=2, approver_roles=("REVIEWER", "PLATFORM_ENGINEER"), excluded=("requester",),
            change="required", freezes=(WEEKEND,), steps=(5, 100), real_engine_required=False,
        )  # fmt: skip
        assert Rules.of(rules.as_json()) == rules
        assert Rules.of({}) == Rules()

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"approvals": 0}, "number of approvals is between 1 and 5"),
            ({"approvals": True}, "whole number"),
            ({"approvals": "2"}, "whole number"),
            ({"hold_seconds": 1.5}, "whole number"),
            ({"speed_factor": float("nan")}, "between"),
            ({"approver_roles": []}, "which roles approve"),
            ({"approver_roles": ["MODEL_OWNER"]}, "approves promotions"),
            ({"approver_roles": ["REVIEWER", "REVIEWER"]}, "once"),
            ({"excluded": ["publisher"]}, "in no policy's power"),
            ({"excluded": ["requester", "interns"]}, "can be excluded"),
            ({"change": "maybe"}, "change record"),
            ({"steps": [50, 10, 100]}, "rise to 100"),
            ({"steps": [10, 50]}, "rise to 100"),
            ({"steps": [0, 100]}, "rise to 100"),
            ({"steps": []}, "rise to 100"),
            ({"steps": 100}, "not where it should be"),
            ({"real_engine_required": "no"}, "real engine"),
            ({"freezes": [{"words": "", "starts": "fri 16:00", "ends": "mon 08:00"}]}, "Say why"),
            ({"approval": 2}, "no approval"),
        ],
    )  # fmt: skip
    def test_refuses_what_no_policy_may_say(self, changes, problem):
        with pytest.raises(BadRules, match=problem):
            Rules.of(Rules().as_json() | changes)

    @pytest.mark.parametrize("name", BOUNDS)
    def test_holds_each_figure_within_its_bounds(self, name):
        least, most, _ = BOUNDS[name]
        kind = int if name in WHOLE else float
        for allowed in (least, most):
            assert getattr(replace(Rules(), **{name: kind(allowed)}), name) == allowed
        for refused in (least - 1, most + 1):
            with pytest.raises(BadRules, match="between"):
                replace(Rules(), **{name: kind(refused)})


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "figure"),
        [
            ("ROLLOUT_HOLD_SECONDS", "hold_seconds"),
            ("ROLLOUT_MINIMUM_CALLS", "minimum_calls"),
            ("EMERGENCY_REVIEW_HOURS", "emergency_review_hours"),
        ],
    )
    def test_stop_at_start_up_where_no_first_policy_could_say_them(self, name, figure):
        source = (Path(__file__).parents[3] / "portal/settings.py").read_text()
        (found,) = re.findall(rf'env_int\("{name}", \d+, minimum=(\d+), maximum=([\d_]+)\)', source)
        assert tuple(map(int, found)) == BOUNDS[figure][:2]


class TestCheck:
    def test_lets_a_stand_in_count_in_the_local_stack_alone(self):
        lax = Rules(real_engine_required=False)
        lax.check("local")
        for environment in ("production", "staging", "Local"):
            with pytest.raises(BadRules, match="stand-in"):
                lax.check(environment)
            Rules().check(environment)


class TestFrozen:
    def test_holds_what_is_no_exception(self):
        rules, saturday = Rules(freezes=(WEEKEND,)), datetime(2026, 11, 7, 12, tzinfo=UTC)
        assert rules.frozen("extract", saturday) == (
            WEEKEND, datetime(2026, 11, 9, 8, tzinfo=UTC),
        )  # fmt: skip
        assert rules.frozen("triage", saturday) is None


class TestWords:
    def test_name_every_rule(self):
        # a rule that no line tells of could be changed without a reviewer seeing it
        usual = Rules()
        others = {
            "approvals": 2, "approver_roles": ("PLATFORM_ENGINEER",), "excluded": ("requester",),
            "approval_max_age_days": 3, "change": "none", "freezes": (WEEKEND,),
            "steps": (20, 100), "hold_seconds": 5, "minimum_calls": 7, "ttft_factor": 2.0,
            "ttft_slack_ms": 5.0, "error_points": 1.0, "speed_factor": 0.5,
            "real_engine_required": False, "emergency_review_hours": 4,
        }  # fmt: skip
        assert set(others) == set(vars(usual))
        for name, value in others.items():
            changed = replace(usual, **{name: value})
            assert words.words_of(changed) != words.words_of(usual), name
            (file,) = words.difference(usual, changed)
            assert (file.added, file.removed) == (1, 1)

    def test_tell_of_a_window_and_its_exceptions(self):
        found = dict(words.words_of(Rules(freezes=(WEEKEND,))))
        assert found["Freeze window 1"] == (
            "Every week from Friday 16:00 to Monday 08:00, UTC, but not for triage: "
            "No weekend starts."
        )

    def test_stand_side_by_side_with_all_windows_in_one_cell(self):
        other = replace(WEEKEND, words="Again.")
        found = dict(words.side_by_side(
            {"PHI": Rules(freezes=(WEEKEND, other)), "Public": Rules(approvals=2)}
        ))  # fmt: skip
        assert found["Approvals"] == [("PHI", ["1"]), ("Public", ["2"])]
        (_, windows), (_, none) = found["Freeze windows"]
        assert ([line[-7:] for line in windows], none) == (["starts.", " Again."], ["None"])

    def test_change_nothing_where_nothing_changes(self):
        assert words.difference(Rules(), Rules()) == []
