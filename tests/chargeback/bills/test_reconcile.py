"""Reading bills from a real S3 server: what a manifest names, once, in the place of the former."""

import json
import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Sum

from apps.audit.models import AuditEvent
from apps.chargeback.bills import actions, cur, reconcile
from apps.chargeback.bills.models import Bill, BillFeed, BillLine
from apps.integrations.errors import TemporaryError
from deploy.local.doubles.cur.delivery import manifest, parquet
from tests.chargeback.bills.made import (
    END,
    NOVEMBER,
    OCTOBER,
    START,
    Delivered,
    bill,
    bought,
    charge,
    lines_of,
)
from tests.database import as_owner
from tests.trail import AuditAway

pytestmark = pytest.mark.django_db
NOW = END + timedelta(hours=6)
TWO = (bought(end=3), bought("i-2", 5, 9, how="on-demand", usd="10"))


@pytest.fixture
def export(store):
    return Delivered(store, f"cur-{uuid.uuid4().hex[:8]}")


def read(export, now=NOW, **more):
    place = export.export
    return reconcile.read_bills(store=export.store, export=more.get("place", place), now=now)


def feed(month=NOVEMBER):
    return BillFeed.objects.get(month=month)


def record(action):
    return AuditEvent.objects.filter(action=action)


class TestReading:
    def test_keeps_every_line_by_day_resource_usage_type_and_type(self, export):
        export.deliver(bill(*TWO, charges=(charge("Tax", "8"), charge("Credit", "-5"))))
        assert read(export) == 1
        found = Bill.objects.get()
        lines = BillLine.objects.filter(bill=found).order_by("line_type", "resource")
        assert [(x.line_type, x.resource, x.quantity, x.billed_usd, x.day) for x in lines] == [
            ("Credit", "", 1, -5, NOVEMBER),
            ("Tax", "", 1, 8, NOVEMBER),
            ("Usage", "i-1", 3, 12, START.date()),
            ("Usage", "i-2", 4, 40, START.date()),
        ]
        assert (found.billed_usd, found.effective_usd, found.rows) == (55, 55, 9)
        assert found.by_day == {"2026-11-01": "3", "2026-11-02": "52"}
        assert found.by_kind == {"CREDIT": "-5", "MACHINE": "52", "TAX": "8"}
        assert found.covers_until == START + timedelta(hours=9)
        assert found.is_simulated and not found.is_final
        (file,) = found.files
        assert file["rows"] == 9 and len(file["sha256"]) == 64
        row = feed()
        assert (row.read_at, row.message, row.next_check_at) == (NOW, "", None)
        (event,) = record("bill.read")
        assert event.actor == "system:chargeback.read_bills"
        assert event.data["effective_usd"] == "55" and event.data["month"] == "2026-11"

    def test_does_not_take_a_charge_of_the_month_for_how_far_it_tells(self, export):
        export.deliver(bill(*TWO, charges=(charge("Usage", "3", usage_type="EBS:Volume"),)))
        read(export)
        assert Bill.objects.get().covers_until == START + timedelta(hours=9)

    def test_reads_two_months_and_files_of_any_number(self, export):
        export.deliver(bill(*TWO), lines_a_file=2)
        october = bought("i-9", -60, -58)
        made = bill(october, month=OCTOBER, until=START, is_final=True)
        export.deliver(made, "execution-2")
        assert read(export) == 2
        assert {(b.month, b.rows, b.is_final) for b in Bill.objects.all()} == {
            (NOVEMBER, 7, False), (OCTOBER, 2, True),
        }  # fmt: skip
        assert len(Bill.objects.get(month=NOVEMBER).files) == 4

    def test_reads_what_the_manifest_names_and_nothing_else(self, export):
        export.deliver(bill(*TWO), lines_a_file=2)
        export.deliver(bill(TWO[0]), "execution-2", lines_a_file=2)  # leaves files behind
        export.put(export.export.data(NOVEMBER) + "stray.parquet", b"not read")
        read(export)
        found = Bill.objects.get()
        assert (found.billed_usd, len(found.files)) == (12, 2)

    def test_looks_at_nothing_where_nothing_changed(self, export, monkeypatch):
        export.deliver(bill(*TWO))
        read(export)
        monkeypatch.setattr(cur, "lines", None)
        assert read(export, NOW + timedelta(hours=1)) == 0

    def test_counts_the_lines_of_some_accounts_alone(self, export):
        rows = lines_of(bill(*TWO))
        rows = [row | {"line_item_usage_account_id": "111"} for row in rows[:3]] + rows[3:]
        key = export.place.file(NOVEMBER, 1)
        export.put(key, parquet(rows))
        export.put(export.place.manifest(NOVEMBER), manifest(export.place, [key], "execution-1"))
        place = export.export
        place = type(place)(place.bucket, place.prefix, place.name, frozenset({"111"}))
        read(export, place=place)
        assert Bill.objects.get().billed_usd == 12

    def test_adds_a_bill_up_piece_by_piece(self, export, monkeypatch):
        export.deliver(bill(*TWO))
        monkeypatch.setattr(actions, "IN_MEMORY", 1)
        read(export)
        lines = BillLine.objects.filter(resource="i-1")
        assert lines.count() == 3
        assert lines.aggregate(sum=Sum("quantity"))["sum"] == 3

    def test_does_nothing_where_no_bill_is_configured(self):
        assert reconcile.read_bills(store=None, export=None, now=NOW) == 0
        assert not BillFeed.objects.exists()


class TestABillThatComesAgain:
    def test_changes_nothing_where_it_says_the_same(self, export):
        export.deliver(bill(*TWO))
        read(export)
        before = list(Bill.objects.values()), list(BillLine.objects.values())
        export.deliver(bill(*reversed(TWO)), "execution-2", lines_a_file=3)
        later = NOW + timedelta(hours=8)
        assert read(export, later) == 0
        assert (list(Bill.objects.values()), list(BillLine.objects.values())) == before
        assert record("bill.read").count() == 1
        assert (feed().read_at, feed().next_check_at) == (later, None)

    def test_replaces_the_former_whole_and_keeps_it_on_record(self, export):
        export.deliver(bill(*TWO))
        read(export)
        former = Bill.objects.get()
        export.deliver(bill(bought(end=2)), "execution-2")  # it shrinks
        later = NOW + timedelta(hours=8)
        assert read(export, later) == 1
        now = Bill.objects.current().get()
        former.refresh_from_db()
        assert (now.effective_usd, former.effective_usd, former.replaced_at) == (8, 52, later)
        assert not former.lines.exists() and now.lines.count() == 1
        _, event = record("bill.read").order_by("id")
        assert event.data["difference_usd"] == "-44"
        assert event.data["replaces"] == str(former.pk)

    def test_is_another_one_once_its_invoice_is_issued(self, export):
        export.deliver(bill(*TWO))
        read(export)
        export.deliver(bill(*TWO, is_final=True), "execution-2")
        assert read(export, NOW + timedelta(hours=8)) == 1
        assert Bill.objects.current().get().is_final

    def test_leaves_the_other_month_alone(self, export):
        export.deliver(bill(bought("i-9", -60, -50), month=OCTOBER, until=START))
        export.deliver(bill(*TWO), "execution-2")
        read(export)
        export.deliver(bill(bought(end=2)), "execution-3")
        read(export, NOW + timedelta(hours=8))
        assert Bill.objects.get(month=OCTOBER).replaced_at is None
        assert Bill.objects.get(month=OCTOBER).lines.count() == 1


class TestABillThatCannotBeRead:
    def refused(self, export, reason):
        assert read(export) == 0
        row = feed()
        assert row.reason == reason and row.next_check_at > NOW
        (event,) = record("bill.refused")
        assert event.data["reason"] == reason and event.data["message"] == row.message
        return row.message

    def test_keeps_the_one_that_was_read_before(self, export):
        export.deliver(bill(*TWO))
        read(export)
        export.deliver(bill(bought(), currency="EUR"), "execution-2")
        assert "The bill is in EUR." in self.refused(export, "CURRENCY")
        assert Bill.objects.current().get().effective_usd == 52
        assert BillLine.objects.count() == 2
        export.deliver(bill(bought(end=1)), "execution-3")
        assert read(export, NOW + timedelta(minutes=5)) == 1
        assert (feed().reason, feed().message) == ("", "")

    def test_is_told_in_the_record_once(self, export):
        export.deliver(bill(bought(), currency="EUR"))
        for hours in (0, 2, 4):
            read(export, NOW + timedelta(hours=hours))
        assert record("bill.refused").count() == 1

    def test_names_a_file_that_is_not_there(self, export):
        (key,) = export.deliver(bill(*TWO))
        export.store._s3.delete_object(Bucket=export.store.bucket, Key=key)
        assert "00001.snappy.parquet, which is not there" in self.refused(export, "MISSING")

    def test_names_a_file_of_another_month(self, export):
        keys = export.deliver(bill(bought("i-9", -60, -50), month=OCTOBER, until=START))
        read(export)
        export.put(export.place.manifest(NOVEMBER), manifest(export.place, keys, "execution-2"))
        assert "not among that month's files" in self.refused(export, "OTHER_MONTH")
        assert Bill.objects.get().month == OCTOBER

    def test_holds_lines_of_another_month_in_its_own_folder(self, export):
        key = export.place.file(NOVEMBER, 1)
        export.put(key, parquet(lines_of(bill(bought(begin=-60, end=-50), month=OCTOBER))))
        export.put(export.place.manifest(NOVEMBER), manifest(export.place, [key], "execution-1"))
        assert "holds lines of October 2026" in self.refused(export, "OTHER_MONTH")

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b'{"executionId": 7, "dataFiles": []}', b'{"dataFiles": ["s3://x"]}']
    )
    def test_has_a_manifest_that_is_none(self, export, body):
        export.put(export.place.manifest(NOVEMBER), body)
        self.refused(export, "MANIFEST")

    def test_names_a_file_twice(self, export):
        keys = export.deliver(bill(*TWO))
        body = manifest(export.place, keys * 2, "execution-1")
        export.put(export.place.manifest(NOVEMBER), body)
        assert "names a file twice" in self.refused(export, "MANIFEST")

    def test_is_damaged(self, export, monkeypatch):
        export.deliver(bill(*TWO))
        monkeypatch.setattr(export.store, "md5_of", lambda key: "0" * 32)
        self.refused(export, "DAMAGED")

    def test_is_text(self, export):
        export.deliver(bill(*TWO))
        body = json.dumps(
            {"executionId": "x", "dataFiles": [f"s3://{export.place.bucket}/"
             f"{export.export.data(NOVEMBER)}a.csv.gz"]}
        ).encode()  # fmt: skip
        export.put(export.place.manifest(NOVEMBER), body)
        assert "Choose Parquet" in self.refused(export, "FORMAT")

    def test_is_delivered_anew_while_it_is_read(self, export, monkeypatch):
        export.deliver(bill(*TWO))
        fetch = reconcile._fetch

        def meanwhile(*args):
            file = fetch(*args)
            export.deliver(bill(bought(end=1)), "execution-2")
            return file

        monkeypatch.setattr(reconcile, "_fetch", meanwhile)
        assert "delivered anew while it was read" in self.refused(export, "S3")
        monkeypatch.undo()
        read(export, NOW + timedelta(minutes=5))
        assert Bill.objects.get().effective_usd == 4

    def test_is_not_there_at_all(self, export):
        assert read(export) == 0
        row = BillFeed.objects.get(month=None)
        assert row.reason == "NOTHING_THERE" and "No manifest lies under" in row.message
        export.deliver(bill(*TWO))
        read(export)
        row.refresh_from_db()
        assert (row.reason, row.message) == ("", "")

    def test_waits_for_a_storage_that_is_away(self, export, monkeypatch):
        def away(prefix):
            raise TemporaryError("The bucket of the bills (S3) cannot be reached: Timeout.")

        monkeypatch.setattr(export.store, "list_objects", away)
        assert read(export) == 0
        row = BillFeed.objects.get(month=None)
        assert row.message.endswith("Timeout. Trying again by itself.")

    def test_is_kept_by_one_worker_alone(self, export):
        export.deliver(bill(*TWO))
        reconcile._look(export.store, export.export, NOW)
        mine = feed()
        BillFeed.objects.update(attempts=5)  # somebody else took it meanwhile
        with pytest.raises(actions.LostLease):
            actions.keep_bill(
                feed=mine, etag="e", execution_id="x", files=[], lines=[], accounts=frozenset(),
                now=NOW,
            )  # fmt: skip
        assert not Bill.objects.exists()


class TestGuards:
    def test_keep_bills_and_their_lines_as_they_were_read(self, export):
        export.deliver(bill(*TWO))
        read(export)
        changes = (
            lambda: Bill.objects.update(effective_usd=0),
            lambda: Bill.objects.all().delete(),
            lambda: BillLine.objects.update(billed_usd=0),
            lambda: BillLine.objects.all().delete(),
        )
        for change in changes:
            with as_owner(), pytest.raises(IntegrityError), transaction.atomic():
                change()

    def test_let_a_bill_be_replaced_once(self, export):
        export.deliver(bill(*TWO))
        read(export)
        Bill.objects.update(replaced_at=NOW)
        with pytest.raises(IntegrityError), transaction.atomic():
            Bill.objects.update(replaced_at=None)

    def test_write_nothing_where_the_record_cannot(self, export, audit_away):
        export.deliver(bill(*TWO))
        with pytest.raises(AuditAway), audit_away():
            read(export)
        assert not Bill.objects.exists() and not BillLine.objects.exists()
