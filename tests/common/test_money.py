"""Money, shown."""

from decimal import Decimal

import pytest

from apps.common.money import about_range_usd, about_usd, exact, exact_usd, shown, unit_price, usd


class TestUsd:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (None, "no price"),
            (Decimal(0), "$0.00"),
            (Decimal("182410.224"), "$182,410.22"),
            (Decimal("0.2351"), "$0.24"),
            (Decimal("0.01"), "$0.01"),
            (Decimal("0.00999"), "< $0.01"),
            (Decimal("0.000000000001"), "< $0.01"),
            (Decimal("-12.5"), "−$12.50"),
            (Decimal("-0.01"), "−$0.01"),
            (Decimal("-0.000000000001"), "> −$0.01"),
            (Decimal("0.1200000000"), "$0.12"),
            (Decimal("2.005"), "$2.00"),
            (Decimal("2.015"), "$2.02"),
        ],
    )
    def test_has_two_decimals_or_says_that_it_is_less(self, amount, text):
        assert usd(amount) == text


class TestShown:
    @pytest.mark.parametrize(
        ("amount", "html"),
        [
            (None, "no price"),
            (Decimal("12.50"), "$12.50"),
            (Decimal("12.5000000000"), "$12.50"),
            (Decimal("0.00084292"), '<span title="$0.00084292">&lt; $0.01</span>'),
            (Decimal("1234.5678"), '<span title="$1234.5678">$1,234.57</span>'),
        ],
    )
    def test_is_exact_on_hover_where_that_says_more(self, amount, html):
        assert shown(amount) == html


class TestUnitPrice:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (None, "no price"),
            (Decimal("0.0120000000"), "$0.012"),
            (Decimal("1.1"), "$1.10"),
            (Decimal("100"), "$100.00"),
            (Decimal("0"), "$0.00"),
            (Decimal("0.0000000001"), "$0.0000000001"),
            (Decimal("1234.805"), "$1,234.805"),
        ],
    )
    def test_keeps_every_digit_it_has(self, amount, text):
        assert unit_price(amount) == text


class TestAboutUsd:
    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (None, "no price"),
            (Decimal(0), "about $0.00"),
            (Decimal("0.00084292"), "less than $0.01"),
            (Decimal("0.0123"), "about $0.01"),
            (Decimal("0.01"), "about $0.01"),
            (Decimal("9.994"), "about $9.99"),
            (Decimal(10), "about $10"),
            (Decimal("12.34"), "about $12"),
            (Decimal("587.504"), "about $588"),
            (Decimal("9120.4"), "about $9,120"),
            (Decimal("182410.22"), "about $182,000"),
        ],
    )
    def test_says_no_more_digits_than_it_deserves(self, amount, text):
        assert about_usd(amount) == text


class TestAboutRangeUsd:
    @pytest.mark.parametrize(
        ("low", "high", "text"),
        [
            (Decimal("1240.4"), Decimal("1409.9"), "about $1,240 to $1,410"),
            (Decimal("1239.9"), Decimal("1240.4"), "about $1,240"),
            (Decimal("0.0001"), Decimal("0.0002"), "less than $0.01"),
            (Decimal("0.001"), Decimal("0.2"), "at most about $0.20"),
            (Decimal("0.001"), Decimal("0.01"), "at most about $0.01"),
            (Decimal("0.01"), Decimal("0.2"), "about $0.01 to $0.20"),
            (Decimal(0), Decimal(0), "about $0.00"),
        ],
    )
    def test_says_both_bounds_unless_they_are_alike(self, low, high, text):
        assert about_range_usd(low, high) == text


class TestExact:
    def test_has_every_digit_that_counts(self):
        assert exact(Decimal("1200.000084000")) == "1200.000084"
        assert exact(Decimal("1200")) == "1200"
        assert (exact_usd(Decimal("0.10")), exact_usd(None)) == ("$0.1", "")
        assert exact_usd(Decimal("-0.0012")) == "−$0.0012"
