"""Bills for tests, as AWS delivers them: made by the double, read by the product."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from apps.chargeback.bills.actions import File, keep_bill
from apps.chargeback.bills.cur import lines
from apps.chargeback.bills.manifest import Export
from apps.chargeback.bills.models import BillFeed
from deploy.local.doubles.cur.delivery import Place, deliver, parquet
from deploy.local.doubles.cur.rows import Bill, Charge, Machine, Plan, rows

NOVEMBER, OCTOBER = date(2026, 11, 1), date(2026, 10, 1)
START = datetime(2026, 11, 2, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
PLAN = Plan("arn:aws:savingsplans::000000000000:savingsplan/sp-1", Decimal("30"), Decimal("0.4"))


def bought(resource="i-1", begin=0, end=2, *, usd="4", listed="10", how="spot", **more):
    """Return a machine over [begin, end), in hours of the second of November."""
    return Machine(
        resource=resource,
        instance_type=more.pop("kind", "p5.48xlarge"),
        zone=more.pop("zone", "us-east-1a"),
        bought=how,
        begins_at=START + timedelta(hours=begin),
        ends_at=None if end is None else START + timedelta(hours=end),
        usd_per_hour=Decimal(usd),
        on_demand_usd_per_hour=Decimal(listed),
    )


def bill(*machines, month=NOVEMBER, until=END, **more):
    """Return a bill of these machines."""
    return Bill(month=month, machines=machines, until=until, **more)


def charge(line_type, usd, service="AmazonEC2", usage_type="", **more):
    """Return what is charged besides machines."""
    return Charge(line_type, service, usage_type, Decimal(usd), **more)


def lines_of(made, execution_id="execution-1"):
    """Return the rows of a bill, as the files hold them."""
    return list(rows(made, execution_id))


class Delivered:
    """An export in a bucket of a real S3 server."""

    def __init__(self, store, name):
        self.store = store
        self.place = Place(store.bucket, "bills", name)
        self.export = Export(store.bucket, "bills", name)

    def put(self, key, body):
        """Write an object over whatever is there."""
        self.store._s3.put_object(Bucket=self.store.bucket, Key=key, Body=body)

    def deliver(self, made, execution_id="execution-1", **more):
        """Deliver a bill as AWS does; return the keys of its files."""
        found = lines_of(made, execution_id)
        return deliver(self.put, self.place, made.month, found, execution_id, **more)


def keeps(folder, moment):
    """Return what keeps a bill as if it had been read from S3 at a moment."""

    def kept(made, *, now=moment, execution_id="execution-1"):
        path = folder / "bill.parquet"
        path.write_bytes(parquet(lines_of(made, execution_id)))
        feed, _ = BillFeed.objects.get_or_create(source="s3://bills/cur2", month=made.month)
        return keep_bill(
            feed=feed, etag=execution_id, execution_id=execution_id,
            files=[File("a.parquet", path.stat().st_size, "0" * 64)],
            lines=(("a.parquet", line) for line in lines(path, made.month)),
            accounts=frozenset(), now=now,
        )  # fmt: skip

    return kept
