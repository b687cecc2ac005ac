"""Sharing a day's machines out: whole, again and again."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import F

from apps.chargeback import actions
from apps.chargeback.models import AllocatedDay, Allocation, ChangedDay
from apps.fleet.models import NodeInterval
from tests.chargeback.test_queries import use
from tests.database import as_owner
from tests.fleet.machines import at, machine, replica

pytestmark = pytest.mark.django_db
MONDAY = date(2026, 11, 2)


def shares(day=MONDAY):
    """Return (kind, version, team) → (GPU-hours, USD) of a day."""
    rows = Allocation.objects.filter(day=day).order_by("kind", "version", "team")
    return {
        (row.kind, row.version, row.team): (row.gpu_hours.normalize(), row.cost_usd) for row in rows
    }


def allocate(day=MONDAY, now=None):
    found = actions.allocate_day(day=day, now=now or at(100))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    return found


class TestAllocateDay:
    @pytest.fixture
    def fleet(self):
        """Two machines with two cards, two models and two teams."""
        big = machine("big", 22, 26, price="8")
        small = machine("small", 0, 24, price="2.4", gpus=1, instance_type="g6.xlarge")
        replica(big, "chat-v1", 22, 26, ready=23, gpus=4)
        replica(small, "embed-v2", 0, 24, ready=0)
        for team, tokens in (("a", 100), ("b", 300)):
            use(at(23), model="chat", version="chat-v1", team=team, cost_center=f"CC-{team}",
                input_tokens=tokens, cached_input_tokens=0, output_tokens=0)  # fmt: skip
        use(at(4), model="embed", version="embed-v2", team="b", cost_center="CC-b")
        return big, small

    @pytest.mark.usefixtures("fleet")
    def test_shares_machines_out_among_those_who_used_them(self):
        assert allocate()
        assert shares() == {
            ("IDLE", "embed-v2", ""): (Decimal(23), Decimal("55.2")),
            ("START", "chat-v1", ""): (Decimal(4), Decimal(4)),
            ("UNALLOCATED", "", ""): (Decimal(8), Decimal(8)),
            ("WORK", "chat-v1", "a"): (Decimal(1), Decimal(1)),
            ("WORK", "chat-v1", "b"): (Decimal(3), Decimal(3)),
            ("WORK", "embed-v2", "b"): (Decimal(1), Decimal("2.4")),
        }
        header = AllocatedDay.objects.get(day=MONDAY)
        assert header.total_usd == Decimal("73.6")
        assert (header.priced_seconds, header.unpriced_seconds) == (26 * 3600, 0)
        assert (header.method_id, header.method_version, header.until) == (
            "gpu-work-1",
            1,
            at(24),
        )
        assert (header.computed_at, header.unplaced_tokens) == (at(100), 0)
        row = Allocation.objects.get(version="chat-v1", team="b")
        assert (row.instance_type, row.gpu_name, row.capacity_type) == (
            "p5.48xlarge",
            "h100",
            "spot",
        )
        assert (row.model, row.cost_center, row.basis) == ("chat", "CC-b", "NOT_SPLIT")
        assert (row.ratio, row.on_demand_usd) == (Decimal("0.1875"), Decimal("20.64"))
        assert (row.input_tokens, row.output_tokens) == (300, 0)

    @pytest.mark.usefixtures("fleet")
    def test_divides_a_machine_at_midnight(self):
        allocate()
        allocate(MONDAY + timedelta(days=1))
        tuesday = shares(MONDAY + timedelta(days=1))
        assert tuesday == {
            ("IDLE", "chat-v1", ""): (Decimal(8), Decimal(8)),
            ("UNALLOCATED", "", ""): (Decimal(8), Decimal(8)),
        }
        total = sum(header.total_usd for header in AllocatedDay.objects.all())
        assert total == 4 * 8 + 24 * Decimal("2.4")

    @pytest.mark.usefixtures("fleet")
    def test_does_the_same_when_it_is_done_again(self):
        allocate()
        before = shares()
        allocate(now=at(101))
        assert shares() == before
        assert Allocation.objects.count() == len(before)
        assert AllocatedDay.objects.get().computed_at == at(101)

    @pytest.mark.usefixtures("fleet")
    def test_takes_what_changed_and_nothing_of_another_day(self):
        allocate()
        allocate(MONDAY + timedelta(days=1))
        tuesday = shares(MONDAY + timedelta(days=1))
        NodeInterval.objects.filter(started_at=at(22)).update(price_usd_per_hour=None)
        assert allocate()
        assert shares()["WORK", "chat-v1", "a"] == (Decimal(1), None)
        assert AllocatedDay.objects.get(day=MONDAY).unpriced_seconds == 7200
        assert shares(MONDAY + timedelta(days=1)) == tuesday

    @pytest.mark.usefixtures("fleet")
    def test_is_of_a_part_of_a_day_that_is_not_over(self):
        assert allocate(now=at(23))
        assert AllocatedDay.objects.get().until == at(23)
        assert AllocatedDay.objects.get().total_usd == 8 + 23 * Decimal("2.4")
        assert not allocate(MONDAY + timedelta(days=1), now=at(24))
        assert AllocatedDay.objects.count() == 1

    def test_of_a_day_without_machines_has_no_share(self):
        use(at(4))
        assert allocate()
        header = AllocatedDay.objects.get()
        assert (header.total_usd, header.unplaced_tokens) == (0, 1100)
        assert not Allocation.objects.exists()

    def test_takes_the_mark_that_it_found_and_no_other(self):
        ChangedDay.objects.create(day=MONDAY, changed_at=at(1))
        ChangedDay.objects.create(day=MONDAY + timedelta(days=1), changed_at=at(1))
        allocate()
        assert [mark.day for mark in ChangedDay.objects.all()] == [MONDAY + timedelta(days=1)]

    def test_leaves_a_mark_that_came_meanwhile(self, monkeypatch):
        ChangedDay.objects.create(day=MONDAY, changed_at=at(1))
        read = actions.inputs

        def late(*args):
            ChangedDay.objects.filter(day=MONDAY).update(changed_at=at(2))
            return read(*args)

        monkeypatch.setattr(actions, "inputs", late)
        allocate()
        assert ChangedDay.objects.get().changed_at == at(2)

    @pytest.mark.usefixtures("fleet")
    def test_has_rows_that_the_database_keeps_to_its_total(self):
        allocate()
        with pytest.raises(IntegrityError, match="do not sum to its total"), transaction.atomic():
            AllocatedDay.objects.update(total_usd=F("total_usd") + 1, idle_usd=F("idle_usd") + 1)
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        with pytest.raises(IntegrityError, match="sum_of_its_kinds"), transaction.atomic():
            AllocatedDay.objects.update(idle_usd=F("idle_usd") + 1)
        with pytest.raises(IntegrityError, match="never changed"), transaction.atomic(), as_owner():
            Allocation.objects.filter(team="a").update(cost_usd=0)


class TestAllocateDueDays:
    def test_shares_out_every_day_that_is_due(self):
        machine("gpu-1", 0, 30)
        assert actions.allocate_due_days(now=at(50)) == 3
        assert [header.day.day for header in AllocatedDay.objects.order_by("day")] == [2, 3, 4]
        assert actions.allocate_due_days(now=at(51)) == 1

    def test_goes_on_when_one_day_cannot_be(self, monkeypatch):
        machine("gpu-1", 0, 30)
        read = actions.inputs

        def broken(begin, end):
            if begin == at(24):
                raise DataError("numeric field overflow")
            return read(begin, end)

        monkeypatch.setattr(actions, "inputs", broken)
        assert actions.allocate_due_days(now=at(50)) == 2
        assert [header.day.day for header in AllocatedDay.objects.order_by("day")] == [2, 4]
