"""Money, shown."""

from decimal import Decimal

import pytest

from apps.common.money import about_usd, usd


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


class TestAboutUsd:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (None, "—"),
            (Decimal(0), "$0.00"),
            (Decimal("0.00084292"), "$0.00084"),
            (Decimal("0.00133875"), "$0.0013"),
            (Decimal("0.0123"), "$0.0123"),
            (Decimal("587.504"), "$587.50"),
        ],
    )
    def test_says_two_digits_of_a_small_estimate(self, amount, text):
        assert about_usd(amount) == text
