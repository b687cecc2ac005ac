"""What node intervals cost, on a claim's page and in the export: every part once, at its own
price.
"""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.common.spreadsheets import csv_answer
from apps.fleet import actions, intervals, sightings
from apps.fleet.models import NodeClaim, NodeInterval
from apps.fleet.pricing.book import PriceBook
from tests.factories import UserFactory
from tests.fleet.objects import LABELS, at, claim, event
from tests.pages import joined

WHOLE = {"launched": 4, "registered": 9, "initialized": 12}
DAY = datetime(2026, 11, 2, tzinfo=UTC)  # of `at`


@pytest.fixture
def fiona(client, db):
    """Finance, signed in."""
    client.force_login(UserFactory(username="fiona", with_roles=[Role.FINANCE]))
    return client


def see(second=20, **more):
    actions.record_seen(model=NodeClaim, seen=[sightings.node_claim(claim(**more))], now=at(second))
    return NodeClaim.objects.get(uid=more.get("uid", "claim-1"))


def end(second, seen_until):
    actions.record_listed(
        model=NodeClaim, seen=[], scope={}, seen_until=at(seen_until), now=at(second)
    )


def hear(*objects):
    actions.record_events(events=[sightings.event(each) for each in objects], now=at(0))


def rows(from_at=DAY, to_at=DAY + timedelta(days=1)):
    """Return the export's rows as a spreadsheet reads them."""
    answer = csv_answer("intervals", intervals.csv_rows(from_at, to_at))
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


class TestDays:
    NOW = datetime(2026, 11, 2, 15, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("first", "last", "expected"),
        [
            ("", "", (DAY, NOW)),
            ("2026-10-30", "", (DAY - timedelta(days=3), DAY - timedelta(days=2))),
            ("", "2026-10-30", (DAY - timedelta(days=3), DAY - timedelta(days=2))),
            ("2026-10-30", "2026-11-01", (DAY - timedelta(days=3), DAY)),
            ("2026-11-02", "2026-11-09", (DAY, NOW)),
            ("2025-11-02", "2026-11-02", (DAY - timedelta(days=365), NOW)),
        ],
        ids=["today", "one day", "only the last", "several", "not over yet", "366 days"],
    )
    def test_are_utc_with_both_ends_and_never_after_now(self, first, last, expected):
        assert intervals.days(first, last, now=self.NOW) == expected

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            ("yesterday", ""),
            ("2026-11-02", "2026-11-01"),
            ("2025-11-01", "2026-11-02"),
            ("9999-12-31", ""),
        ],
    )
    def test_refuses_what_is_no_range_of_days(self, first, last):
        with pytest.raises(ValueError):
            intervals.days(first, last, now=self.NOW)


class TestPartsOf:
    """An interval from second 100 to 200, at 7.20 an hour, and one that has not ended."""

    SPAN = NodeInterval(started_at=at(100), ended_at=at(200), price_usd_per_hour=Decimal("7.2"))
    OPEN = NodeInterval(started_at=at(100))

    @pytest.mark.parametrize(
        ("from_second", "to_second", "begin", "end"),
        [
            (None, 150, 100, 150),
            (None, 999, 100, 200),
            (0, 999, 100, 200),
            (150, 180, 150, 180),
            (300, 400, 300, 300),
            (None, 50, 100, 100),
        ],
    )
    def test_is_what_lies_in_the_range_and_never_negative(self, from_second, to_second, begin, end):
        from_at = None if from_second is None else at(from_second)
        (part,) = intervals.parts_of(self.SPAN, PriceBook(), from_at=from_at, to_at=at(to_second))
        assert (part.from_at, part.to_at) == (at(begin), at(end))
        assert part.seconds == end - begin
        assert part.usd == Decimal("0.002") * (end - begin)

    def test_lasts_until_now_where_it_has_not_ended_and_to_the_microsecond(self):
        until = at(200) + timedelta(microseconds=1)
        (part,) = intervals.parts_of(self.OPEN, PriceBook(), to_at=until)
        assert (part.seconds, part.usd) == (Decimal("100.000001"), None)
        assert (part.ended_at, part.to_at) == (None, until)


class TestUsdOf:
    def test_sums_what_each_costs_unless_one_has_no_price(self):
        whole, open_ = (
            intervals.parts_of(span, PriceBook(), to_at=at(150))
            for span in (TestPartsOf.SPAN, TestPartsOf.OPEN)
        )
        assert intervals.usd_of(whole * 2) == Decimal("0.2")
        assert intervals.usd_of([*whole, *open_]) is None
        assert intervals.usd_of([]) == 0


@pytest.mark.django_db
class TestCostOf:
    def test_prices_each_interval_at_its_own_price_and_counts_unobserved_time(self):
        see(version=1, **WHOLE)
        row = see(
            3604, version=2, labels=LABELS | {"eks-node-viewer/instance-price": "0.805"}, **WHOLE
        )
        end(10804, seen_until=7204)
        cost = intervals.cost_of(row, at(99_999))
        assert [part.usd for part in cost.parts] == [
            Decimal("0.4025"),
            Decimal("0.805"),
            Decimal("0.805"),
        ]
        assert (cost.usd, cost.length, cost.unobserved) == (
            Decimal("2.0125"),
            timedelta(hours=3),
            timedelta(hours=1),
        )

    def test_counts_an_open_interval_until_now(self):
        assert intervals.cost_of(see(**WHOLE), at(3604)).usd == Decimal("0.4025")

    def test_is_not_told_where_a_price_is_missing(self):
        bare = {key: value for key, value in LABELS.items() if "price" not in key}
        assert intervals.cost_of(see(labels=bare, **WHOLE), at(3604)).usd is None


@pytest.mark.django_db
class TestEventsOf:
    def test_name_what_accounts_for_launch_and_end(self):
        see(**WHOLE)
        hear(
            event("Nominated", "Pod", "m-v1-x", 3, "Pod should schedule on: nodeclaim/gpu-abc"),
            event("Nominated", "Pod", "other", 3, "Pod should schedule on: nodeclaim/gpu-xyz"),
            event(
                "DisruptionTerminating", "NodeClaim", "gpu-abc", 50, "Disrupting NodeClaim: Empty"
            ),
            event("Ready", "Node", "node-1", 12),
            event("Finalized", "NodeClaim", "gpu-abc", 60),
        )
        told = [
            (line.event.reason, line.explains)
            for line in intervals.events_of(NodeClaim.objects.get())
        ]
        assert told == [
            ("Finalized", "when it ended"),
            ("DisruptionTerminating", "why it ended"),
            ("Ready", ""),
            ("Nominated", "why it was launched"),
        ]

    @pytest.mark.parametrize(
        ("second", "told"), [(-899, False), (-898, True), (1000, True), (1001, False)]
    )
    def test_reach_a_quarter_of_an_hour_before_the_claim_and_after_its_end(self, second, told):
        see(**WHOLE)
        end(100, seen_until=100)
        hear(event("Disrupted", "NodeClaim", "gpu-abc", second))
        assert bool(intervals.events_of(NodeClaim.objects.get())) is told

    def test_are_about_no_other_object_and_no_node_before_there_is_one(self):
        see()
        hear(
            event("Ready", "Node", "", 12),
            event("Ready", "Node", "gpu-abc", 12),
            event("Ready", "NodeClaim", "node-1", 12),
            event("Scheduled", "Pod", "m", 12, "Pod should schedule on: nodeclaim/gpu-abc"),
            event("Nominated", "Node", "m", 12, "Pod should schedule on: nodeclaim/gpu-abc"),
        )
        assert intervals.events_of(NodeClaim.objects.get()) == []

    def test_are_the_newest_hundred(self):
        see(**WHOLE)
        hear(*(event("Ready", "NodeClaim", "gpu-abc", 10 + n) for n in range(101)))
        told = intervals.events_of(NodeClaim.objects.get())
        assert (len(told), told[0].event.last_at, told[-1].event.last_at) == (100, at(110), at(11))

    def test_leave_out_another_node_that_had_the_name_before_or_has_it_now(self):
        see(**WHOLE)
        end(100, seen_until=100)
        hear(event("Ready", "Node", "node-1", -86_400), event("Ready", "Node", "node-1", 86_400))
        hear(event("Ready", "Pod", "node-1", 50))
        assert intervals.events_of(NodeClaim.objects.get()) == []


@pytest.mark.django_db
class TestCsvRows:
    def test_say_everything_that_the_money_is_computed_from(self):
        see(**WHOLE)
        hear(
            event(
                "DisruptionTerminating", "NodeClaim", "gpu-abc", 50, "Disrupting NodeClaim: Empty"
            )
        )
        end(700, seen_until=100)
        seen, dark = rows()
        assert seen == {
            "node_claim": "gpu-abc",
            "node": "node-1",
            "node_pool": "gpu-inference",
            "instance_type": "g6.xlarge",
            "zone": "us-east-1a",
            "capacity_type": "spot",
            "gpus": "1",
            "started_at_utc": "2026-11-02T09:00:04+00:00",
            "ended_at_utc": "2026-11-02T09:01:40+00:00",
            "from_utc": "2026-11-02T09:00:04+00:00",
            "to_utc": "2026-11-02T09:01:40+00:00",
            "seconds": "96.000000",
            "price_usd_per_hour": "0.4025",
            "cost_usd": "0.010733",
            "price_basis": "simulated-spot",
            "observed": "yes",
            "launch_reason": "",
            "end_reason": "Karpenter removed it: Empty",
        }
        assert (dark["seconds"], dark["cost_usd"], dark["observed"]) == (
            "600.000000",
            "0.067083",
            "no",
        )

    def test_of_single_days_sum_to_those_of_all_days(self):
        see(**WHOLE)
        whole = rows(DAY, DAY + timedelta(days=3))
        days = [
            row
            for day in range(3)
            for row in rows(DAY + timedelta(days=day), DAY + timedelta(days=day + 1))
        ]
        assert [row["seconds"] for row in days] == ["53996.000000", "86400.000000", "86400.000000"]
        assert sum(Decimal(row["seconds"]) for row in days) == Decimal(whole[0]["seconds"])
        assert [row["ended_at_utc"] for row in days] == ["", "", ""]

    @pytest.mark.parametrize(
        ("from_second", "to_second", "count"),
        [(0, 4, 0), (0, 5, 1), (99, 200, 1), (100, 200, 0)],
        ids=["before it", "its first second", "its last second", "after it"],
    )
    def test_hold_what_reaches_into_the_range(self, from_second, to_second, count):
        see(**WHOLE)
        end(100, seen_until=100)
        assert len(rows(at(from_second), at(to_second))) == count

    def test_keep_an_interval_that_ended_as_it_began(self):
        NodeInterval.objects.create(node_claim=see(), started_at=at(50), ended_at=at(50))
        assert [row["seconds"] for row in rows(at(50), at(60))] == ["0.000000"]
        assert rows(at(40), at(50)) == []

    def test_take_five_queries_however_many_there_are(self, django_assert_num_queries):
        for number in range(30):
            see(name=f"c{number}", uid=f"c{number}", **WHOLE)
        # the intervals and their types · contracts, prices before and in the range
        with django_assert_num_queries(5):
            assert len(rows()) == 30

    def test_let_no_name_be_a_formula(self):
        see(name="=cmd()", **WHOLE)
        assert rows()[0]["node_claim"] == "'=cmd()"


class TestExport:
    def test_gives_the_days_that_were_chosen(self, fiona):
        see(**WHOLE)
        answer = fiona.get(
            reverse("fleet:interval_export"), {"from": "2026-11-02", "to": "2026-11-02"}
        )
        assert (
            answer["Content-Disposition"]
            == 'attachment; filename="node-intervals-2026-11-02-2026-11-02.csv"'
        )
        (row,) = csv.DictReader(io.StringIO(b"".join(answer).decode()))
        assert row["node_claim"] == "gpu-abc"

    def test_says_how_days_are_written(self, fiona):
        answer = fiona.get(
            reverse("fleet:interval_export"), {"from": "2026-11-02", "to": "2026-11-01"}
        )
        assert (answer.status_code, b"2026-11-02" in answer.content) == (400, True)


class TestClaimDetail:
    def page(self, visitor, **headers):
        answer = visitor.get(
            reverse("fleet:claim_detail", args=[NodeClaim.objects.get().pk]), headers=headers
        )
        assert answer.status_code == 200
        return answer.content.decode()

    def test_shows_each_interval_with_its_price_and_what_accounts_for_it(self, fiona):
        see(**WHOLE)
        hear(
            event("Nominated", "Pod", "m-v1-x", 3, "Pod should schedule on: nodeclaim/gpu-abc"),
            event(
                "DisruptionTerminating", "NodeClaim", "gpu-abc", 50, "Disrupting NodeClaim: Empty"
            ),
        )
        end(7204, seen_until=3604)
        found = self.page(fiona)
        for words in (
            "0.805", "2 h 00 min", "60 min 00 s", "$0.4025", "simulated price", "Observed",
            "Unobserved",
            "Spot · us-east-1a", "Pod models/m-v1-x waited for a GPU",
            "Karpenter removed it: Empty",
            "why it was launched", "why it ended",
            "intervals.csv?from=2026-11-02&amp;to=2026-11-02",
        ):  # fmt: skip
            assert words in joined(found), words

    def test_shows_the_last_of_very_many_intervals_and_sums_all(self, fiona):
        see(**WHOLE)
        claim = NodeClaim.objects.get()
        claim.intervals.all().delete()
        NodeInterval.objects.bulk_create(
            NodeInterval(
                node_claim=claim,
                started_at=at(60 * n),
                ended_at=at(60 * n + 60),
                price_usd_per_hour=6,
            )
            for n in range(300)
        )
        found = self.page(fiona)
        assert "The last 200 of 300 intervals; the sums cover all of them" in joined(found)
        assert found.count("60 s</td>") == 200
        assert "$30.00" in found  # 300 minutes at $6 an hour

    def test_says_that_nothing_is_paid_before_the_launch(self, fiona):
        see()
        assert "nothing is paid until the machine is launched" in joined(self.page(fiona))
        assert "No interval yet" in self.page(fiona)

    def test_says_that_a_claim_counts_on_while_nobody_watches(self, fiona):
        see(**WHOLE)
        assert "Its cost counts on until its end is known" in joined(self.page(fiona))

    def test_asks_faster_while_it_moves_and_answers_htmx_with_the_live_part(self, fiona):
        see(version=1)
        assert "every 3s" in self.page(fiona)
        see(version=2, **WHOLE)
        found = self.page(fiona, **{"HX-Request": "true"})
        assert "every 15s" in found and "<html" not in found
        end(100, seen_until=100)
        assert "every 300s" in self.page(fiona)

    def test_asks_as_many_queries_for_many_intervals_as_for_one(
        self, fiona, django_assert_num_queries
    ):
        for turn in range(1, 20):
            see(
                20 * turn,
                version=turn,
                labels=LABELS | {"eks-node-viewer/instance-price": str(turn)},
                **WHOLE,
            )
        self.page(fiona)
        # session, person, roles · the claim, intervals, three of prices, events, freshness · needs
        with django_assert_num_queries(11):
            found = self.page(fiona)
        assert "19 intervals" in found

    def test_is_where_the_list_of_claims_leads(self, fiona):
        row = see(**WHOLE)
        found = fiona.get(reverse("fleet:claim_list")).content.decode()
        assert f'href="/fleet/claims/{row.pk}/"' in found
        assert f'action="{reverse("fleet:interval_export")}"' in found
