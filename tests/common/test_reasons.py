"""The reason that a decision or an order needs."""

import pytest
from rest_framework.exceptions import ValidationError

from apps.common.reasons import ReasonForm, reason_of


class TestReason:
    @pytest.mark.parametrize(
        ("text", "fits"), [("Fit", True), ("No", False), ("x" * 1000, True), ("x" * 1001, False)]
    )
    def test_has_the_same_bounds_on_the_page_and_in_the_api(self, text, fits):
        assert ReasonForm({"reason": text}).is_valid() is fits
        if fits:
            assert reason_of({"reason": text}) == text
        else:
            with pytest.raises(ValidationError, match="reason"):
                reason_of({"reason": text})
