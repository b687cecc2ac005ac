"""What a token may name as its team and its cost center."""

import re

import pytest

from apps.common.token_claims import COST_CENTER, LONGEST_COST_CENTER, TEAM


@pytest.mark.parametrize(
    ("team", "fits"),
    [
        ("a", True), ("claims-review", True), ("9", True), ("a" * 63, True), ("a" * 64, False),
        ("", False), ("-a", False), ("a-", False), ("Claims", False), ("a_b", False),
        ("a b", False), ("a.b", False),
    ],
)  # fmt: skip
def test_a_team_is_a_label(team, fits):
    assert bool(re.match(TEAM, team)) is fits


@pytest.mark.parametrize(
    ("code", "fits"),
    [
        ("CC-4100", True), ("9", True), ("a_b.c-D", True), ("", False), ("-1", False),
        ("_a", False), ("CC 4100", False), ("CC/4100", False), ("Köln", False),
    ],
)  # fmt: skip
def test_a_cost_center_is_one_word(code, fits):
    assert bool(re.match(COST_CENTER, code)) is fits


def test_a_cost_center_is_as_long_as_its_column_takes():
    from apps.accounts.models import CostCenter
    from apps.metering.models import UsageEvent

    for model, name in ((CostCenter, "code"), (UsageEvent, "cost_center")):
        assert model._meta.get_field(name).max_length == LONGEST_COST_CENTER
