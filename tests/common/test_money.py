"""Money, shown."""

from decimal import Decimal

import pytest

from apps.common.money import usd


class TestUsd:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (None, "—"),
            (Decimal(0), "$0.00"),
            (Decimal("182410.224"), "$182,410.22"),
            (Decimal("0.2351"), "$0.2351"),
            (Decimal("0.00012345678"), "$0.00012346"),
            (Decimal("-12.5"), "−$12.50"),
            (Decimal("-0.000000000001"), "$0.00"),
            (Decimal("0.1200000000"), "$0.12"),
        ],
    )
    def test_keeps_the_digits_that_matter(self, amount, text):
        assert usd(amount) == text
