"""The double of AWS Data Exports: what it bills of the local machines, and how it delivers."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from deploy.local.doubles.cur.delivery import Place
from deploy.local.doubles.cur.follow import SPOT_SHARE, Book, bill_of, deliver_due
from deploy.local.doubles.cur.rows import rows

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PLACE = Place("bucket", "exports", "cur2")


def claim(uid="a", kind="g6.xlarge", *, launched="2026-11-27T10:00:00Z", bought="spot"):
    conditions = [{"type": "Launched", "status": "True", "lastTransitionTime": launched}]
    return {
        "metadata": {
            "uid": uid,
            "labels": {
                "node.kubernetes.io/instance-type": kind,
                "topology.kubernetes.io/zone": "us-east-1a",
                "karpenter.sh/capacity-type": bought,
            },
        },
        "status": {"providerID": f"kwok://node-{uid}", "conditions": conditions},
    }


class TestBook:
    def test_remembers_machines_that_are_gone_over_a_restart(self, tmp_path):
        book = Book(tmp_path / "book.json")
        book.note([claim("a"), claim("b")], NOW)
        book.note([claim("b")], NOW + timedelta(minutes=1))
        again = Book(tmp_path / "book.json").machines
        assert again["a"]["ends_at"] == (NOW + timedelta(minutes=1)).isoformat()
        assert again["b"]["ends_at"] is None
        assert again["a"]["resource"] == "node-a"

    def test_waits_until_a_machine_is_launched(self, tmp_path):
        asked = claim()
        asked["status"] = {}
        book = Book(tmp_path / "book.json")
        book.note([asked], NOW)
        assert book.machines == {}


class TestBills:
    def test_are_of_what_ran_at_spot_prices_below_the_label(self, tmp_path):
        book = Book(tmp_path / "book.json")
        book.note([claim("a"), claim("b", bought="on-demand")], NOW)
        found = list(rows(bill_of(book, NOW.replace(day=1, hour=0), NOW), "execution-1"))
        spot = [row for row in found if row["line_item_usage_type"].startswith("SpotUsage")]
        usual = [row for row in found if row["line_item_usage_type"].startswith("BoxUsage")]
        assert len(spot) == len(usual) == 2
        assert usual[0]["line_item_unblended_cost"] == 0.8048
        assert Decimal(str(spot[0]["line_item_unblended_cost"])) < Decimal("0.8048") * SPOT_SHARE
        assert [row["line_item_usage_type"] for row in found if row not in spot + usual] == [
            "EBS:VolumeUsage.gp3"
        ]
        assert {row["bill_payer_account_id"] for row in found} == {"000000000000"}

    def test_are_delivered_files_first_and_then_the_manifest(self, tmp_path):
        book, put = Book(tmp_path / "book.json"), {}
        book.note([claim("a")], NOW)
        deliver_due(book, PLACE, put.__setitem__, NOW)
        assert list(put) == [
            "exports/cur2/data/BILLING_PERIOD=2026-11/cur2-00001.snappy.parquet",
            "exports/cur2/metadata/BILLING_PERIOD=2026-11/cur2-Manifest.json",
        ]
        told = json.loads(put[list(put)[-1]])
        assert told["dataFiles"] == [f"s3://bucket/{list(put)[0]}"]
        assert {"name": "line_item_resource_id", "type": "string"} in told["columns"]

    def test_of_the_month_before_become_final(self, tmp_path):
        book, put = Book(tmp_path / "book.json"), {}
        book.note([claim("a", launched="2026-10-31T22:00:00Z")], NOW)
        deliver_due(book, PLACE, put.__setitem__, datetime(2026, 11, 3, 0, 30, tzinfo=UTC))
        assert any("BILLING_PERIOD=2026-10" in key for key in put)
        october = datetime(2026, 10, 1, tzinfo=UTC)
        assert not bill_of(book, october, datetime(2026, 11, 3, tzinfo=UTC)).is_final
        final = bill_of(book, october, datetime(2026, 11, 4, 0, 1, tzinfo=UTC))
        assert final.is_final
        assert {row["bill_invoice_id"] for row in rows(final, "x")} == {"SIM202610"}


class TestWhatWasTold:
    def told(self, **more):
        return {
            "month": "2026-11",
            "until": "2026-11-20T00:00:00+00:00",
            "daily": True,
            "machines": [
                {
                    "resource": "sample-1", "instance_type": "g6.xlarge", "bought": "on-demand",
                    "begins_at": "2026-11-10T00:00:00+00:00",
                    "ends_at": "2026-11-11T00:00:00+00:00", "usd_per_hour": "1",
                }
            ],
            **more,
        }  # fmt: skip

    def test_stays_on_the_bill_of_a_month_that_still_runs(self, tmp_path):
        book, put = Book(tmp_path / "book.json"), {}
        book.note([claim("a")], NOW)
        book.remember(self.told())
        deliver_due(book, PLACE, put.__setitem__, NOW)
        bill = bill_of(book, NOW.replace(day=1, hour=0), NOW)
        assert [machine.resource for machine in bill.machines] == ["sample-1", "node-a"]
        assert (bill.until, bill.is_final) == (NOW, False)
        assert len(put) == 2

    def test_as_final_is_left_alone(self, tmp_path):
        book, put = Book(tmp_path / "book.json"), {}
        book.remember(self.told(is_final=True))
        deliver_due(book, PLACE, put.__setitem__, datetime(2026, 12, 2, tzinfo=UTC))
        assert {key.partition("BILLING_PERIOD=")[2][:7] for key in put} == {"2026-12"}
