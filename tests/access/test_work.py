"""What expected work comes to, at each bound, and what is kept of it."""

from dataclasses import asdict, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from apps.access import words
from apps.access.models import AccessRequest
from apps.access.work import (
    MOST_PACKETS,
    MOST_PAGES,
    MOST_TOKENS,
    NOT_MEASURED,
    Estimate,
    Measured,
    Needs,
    Page,
    Use,
    Work,
    as_data,
    estimate_of,
    needs_of,
    page_of,
    problems,
    use_as_data,
    use_of_data,
)
from tests.factories import NOW

WORK = Work(packets_a_day=1200, pages_a_packet=8, hours_a_day=10, days_a_week=5)
STATED = replace(WORK, input_tokens_a_page=600, output_tokens_a_page=120)
MEASURED = Measured(
    calls=12345, input_tokens=1930, output_tokens=212, first=date(2026, 10, 5),
    last=date(2026, 11, 1), of_team=False,
)  # fmt: skip
USE = Use(
    since=NOW, until=NOW + timedelta(days=9), metered_calls=1200, unmetered_calls=3,
    refused_calls=1, failed_calls=0, input_tokens=5000, output_tokens=700,
    list_cost_usd=Decimal("1.2300000001"), unpriced="",
)  # fmt: skip


def estimate(work=STATED, measured=MEASURED, usd="12.5", prices=None):
    page = page_of(work, measured)
    return Estimate(
        work=work,
        page=page,
        needs=needs_of(work, page) if page else None,
        prices={"INPUT": "0.1", "OUTPUT": "0.4"} if prices is None else prices,
        prices_words="$0.10 in · $0.40 out" if prices is None else "",
        monthly_usd=None if usd is None else Decimal(usd),
        seen_at=NOW,
    )


class TestProblems:
    def wrong(self, is_measured=True, **changes):
        return problems(vars(WORK) | changes, is_measured=is_measured)

    def test_are_none_of_work_that_is_fine(self):
        assert self.wrong() == {}
        assert problems(vars(STATED), is_measured=False) == {}
        assert problems({}, is_measured=False) == {}

    @pytest.mark.parametrize(("name", "most"), [
        ("packets_a_day", 10_000_000), ("pages_a_packet", 10_000), ("hours_a_day", 24),
        ("days_a_week", 7),
    ])  # fmt: skip
    def test_of_counts_are_their_bounds(self, name, most):
        assert [self.wrong(**{name: value}) for value in (1, most)] == [{}, {}]
        said = {name: f"Give 1 to {most:,}."}
        assert [self.wrong(**{name: value}) for value in (0, most + 1, -1)] == [said] * 3

    def test_of_a_page_are_that_nobody_knows_its_tokens(self):
        both = ("input_tokens_a_page", "output_tokens_a_page")
        assert self.wrong(is_measured=False) == dict.fromkeys(both, NOT_MEASURED)

    @pytest.mark.parametrize("is_measured", [True, False])
    def test_of_a_page_are_that_one_half_is_stated(self, is_measured):
        half = {"output_tokens_a_page": "State both, or neither."}
        assert self.wrong(is_measured, input_tokens_a_page=600) == half
        half = {"input_tokens_a_page": "State both, or neither."}
        assert self.wrong(is_measured, output_tokens_a_page=0) == half

    @pytest.mark.parametrize(("read", "written", "wrong"), [
        (1, 0, []), (0, 1, []), (1_000_000, 1_000_000, []), (0, 0, ["input_tokens_a_page"]),
        (-1, 5, ["input_tokens_a_page"]), (5, 1_000_001, ["output_tokens_a_page"]),
    ])  # fmt: skip
    def test_of_a_page_are_its_bounds(self, read, written, wrong):
        found = self.wrong(input_tokens_a_page=read, output_tokens_a_page=written)
        assert list(found) == wrong


class TestPageOf:
    def test_is_what_the_team_states_before_what_is_measured(self):
        assert page_of(STATED, MEASURED) == Page(600, 120, None)
        assert page_of(WORK, MEASURED) == Page(1930, 212, MEASURED)
        assert page_of(replace(STATED, output_tokens_a_page=0), None) == Page(600, 0, None)

    def test_is_not_known_where_it_is_neither(self):
        assert page_of(WORK, None) is None


class TestNeedsOf:
    def test_are_twice_the_average_minute_and_a_twelfth_of_a_year(self):
        # 9,600 pages of 720 tokens: 6.912 M in 600 minutes are 11,520 a minute
        needs = needs_of(STATED, Page(600, 120, None))
        assert needs.tokens_per_minute == 23_100  # 23,040, rounded up
        # 365 days a year, 5 of 7, over 12: 21.726…
        assert needs.input_tokens_a_month == 125_142_858
        assert needs.output_tokens_a_month == 25_028_572

    def test_follow_each_figure_of_the_work(self):
        page = Page(600, 120, None)
        whole = replace(STATED, hours_a_day=24, days_a_week=7)
        assert needs_of(whole, page).tokens_per_minute == 9_600
        assert needs_of(whole, page).input_tokens_a_month == 175_200_000
        assert needs_of(replace(whole, packets_a_day=1), page).tokens_per_minute == 100

    @given(
        packets=some.integers(1, 10_000_000), pages=some.integers(1, 10_000),
        hours=some.integers(1, 24), days=some.integers(1, 7), read=some.integers(0, 1_000_000),
        written=some.integers(1, 1_000_000),
    )  # fmt: skip
    def test_are_never_less_than_the_work(self, packets, pages, hours, days, read, written):
        needs = needs_of(Work(packets, pages, hours, days), Page(read, written, None))
        day = packets * pages * (read + written)
        assert needs.tokens_per_minute * 60 * hours >= 2 * day
        assert (needs.input_tokens_a_month + needs.output_tokens_a_month) * 84 >= day * 365 * days


class TestAsData:
    @pytest.mark.parametrize("found", [
        estimate(), estimate(WORK), estimate(WORK, None), estimate(usd=None, prices={}),
        estimate(WORK, replace(MEASURED, simulated=True, of_team=True), usd="0.0000000001"),
    ])  # fmt: skip
    def test_keeps_every_figure(self, found):
        assert estimate_of(as_data(found)) == found

    def test_of_a_use_keeps_every_figure(self):
        for use in (USE, replace(USE, list_cost_usd=None, unpriced="5,700 tokens have no price")):
            assert use_of_data(use_as_data(use)) == use


class TestDigest:
    def test_is_the_same_whenever_the_same_is_seen(self):
        later = replace(estimate(), seen_at=NOW + timedelta(hours=3))
        assert later.digest == estimate().digest

    @pytest.mark.parametrize("other", [
        estimate(usd="12.51"), estimate(usd=None), estimate(WORK), estimate(prices={"INPUT": "2"}),
        estimate(replace(STATED, packets_a_day=1201)),
    ])  # fmt: skip
    def test_changes_with_each_figure(self, other):
        assert other.digest != estimate().digest

    def test_is_there_for_the_most_that_can_be_expected(self):
        most = Work(
            packets_a_day=MOST_PACKETS, pages_a_packet=MOST_PAGES, hours_a_day=24, days_a_week=7,
            input_tokens_a_page=MOST_TOKENS, output_tokens_a_page=MOST_TOKENS,
        )  # fmt: skip
        assert problems(asdict(most), is_measured=False) == {}
        less = replace(most, input_tokens_a_page=MOST_TOKENS - 1)
        assert estimate(most).digest != estimate(less).digest


class TestWords:
    def rows(self, found):
        return dict(words.estimate_rows(found))

    def test_say_the_work_and_where_its_figures_come_from(self):
        said = self.rows(estimate(WORK))
        assert (
            said["Expected work"] == "1,200 packets of 8 pages a day, in 10 hours of 5 days a week"
        )
        assert said["A page takes"] == (
            "1,930 tokens read and 212 written, as an average call (12,345 calls of all teams, "
            "5 Oct 2026 to 1 Nov 2026)"
        )
        assert self.rows(estimate())["A page takes"].endswith("120 written, stated by the team")
        played = replace(MEASURED, simulated=True, of_team=True, calls=1)
        assert "(1 call of the team, " in self.rows(estimate(WORK, played))["A page takes"]
        assert "an engine that plays the model" in self.rows(estimate(WORK, played))["A page takes"]

    def test_say_the_cost_and_the_price(self):
        said = self.rows(estimate(usd="1234.5"))
        assert said["Cost a month"] == "about $1,230, without a discount for cached tokens"
        assert said["Price"] == "$0.10 in · $0.40 out / M tokens, on 2 Nov 2026"

    def test_say_what_nobody_knows_and_never_0(self):
        unpriced = self.rows(estimate(usd=None, prices={}))
        assert unpriced["Price"] == "no price is set for this model"
        assert unpriced["Cost a month"] == "not known: no price"
        assert self.rows(estimate(usd=None))["Cost a month"] == "not known: some of it has no price"
        unknown = self.rows(estimate(WORK, None, usd=None))
        assert unknown["A page takes"] == "not known: nothing is measured or stated"
        assert unknown["Cost a month"] == "not known, as the tokens of a page are not"
        assert "Tokens a minute" not in unknown

    @pytest.mark.parametrize(("asked", "said"), [
        (999, "fewer than the work needs, so some calls will be refused"),
        (1000, "enough for the work"), (3000, "enough for the work"),
        (3100, "3.1 times what the work needs"),
        (100_000, "more than 100 times what the work needs"),
    ])  # fmt: skip
    def test_hold_the_tokens_asked_for_against_the_work(self, asked, said):
        assert words.tokens_words(asked, Needs(1000, 1, 1)).endswith(said)

    @pytest.mark.parametrize(("asked", "said"), [
        ("6.25", "$6.25 a month: spent after about 15 days"),
        ("0.01", "$0.01 a month: spent after about 1 day"),
        ("12.50", "$12.50 a month: covers the work"), ("37.50", "$37.50 a month: covers the work"),
        ("125", "$125.00 a month: 10.0 times what the work costs"),
    ])  # fmt: skip
    def test_hold_the_budget_asked_for_against_the_work(self, asked, said):
        assert words.budget_words(Decimal(asked), estimate()) == said

    def test_say_that_no_work_was_told(self):
        assert words.asked_rows(AccessRequest()) == [("Expected work", words.NOT_TOLD)]

    def test_say_what_was_used_or_that_nothing_was(self):
        said = dict(words.use_rows(USE))
        assert said["Period"] == "02 Nov 2026 09:00 to 11 Nov 2026 09:00 UTC"
        assert said["Spent"] == "$1.23"
        assert said["Calls"] == "1,200 metered · 3 unmetered · 1 refused · 0 failed"
        unpriced = replace(USE, list_cost_usd=None, unpriced="5,700 tokens have no price")
        assert dict(words.use_rows(unpriced))["Spent"] == "no price · 5,700 tokens have no price"
        counts = dict.fromkeys(
            ("metered_calls", "unmetered_calls", "refused_calls", "input_tokens", "output_tokens"),
            0,
        )
        never = replace(USE, list_cost_usd=Decimal(0), **counts)
        assert words.use_rows(never)[0][1].startswith("not once: no call came from 02 Nov")
        assert words.use_rows(replace(never, refused_calls=1))[0][0] == "Period"
