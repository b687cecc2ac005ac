"""`python -m deploy.local.doubles.cur`: deliver bills that are told as JSON on standard input, one
a line. `… follow`: bill the machines of the local cluster for as long as it runs.

Environment: CUR_BUCKET, CUR_PREFIX, CUR_EXPORT; AWS_* as boto3 reads them; CUR_BOOK, the file of
what `follow` knows, beside which what is told is kept for it. A line:
{"month": "2026-10", "until": "2026-11-01T00:00:00+00:00", "is_final": true, "daily": true,
"tax_percent": "8", "machines": [{"resource": "i-1", "instance_type": "g6.xlarge",
"zone": "us-east-1a", "bought": "spot", "begins_at": …, "ends_at": …, "usd_per_hour": "0.3",
"on_demand_usd_per_hour": "0.8"}], "charges": [{"line_type": "Credit", "service": "AmazonEC2",
"usd": "-20", "at": …}], "plan": {"arn": …, "usd_per_hour": "2", "discount": "0.3"}}
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path

from .delivery import Place, deliver
from .follow import Book, follow
from .rows import bill_of, rows
from .storage import put_into, wait_for_bucket


def main() -> None:
    """Deliver what is told, or follow the cluster."""
    place = Place(
        os.environ["CUR_BUCKET"], os.environ.get("CUR_PREFIX", ""), os.environ["CUR_EXPORT"]
    )
    wait_for_bucket(place.bucket)
    if sys.argv[1:] == ["follow"]:
        follow(place, put_into(place.bucket))
        return
    book = Book(Path(os.environ["CUR_BOOK"])) if os.environ.get("CUR_BOOK") else None
    for line in sys.stdin:
        if line.strip():
            told = json.loads(line)
            if book is not None:
                book.remember(told)
            bill, execution_id = bill_of(told), str(uuid.uuid4())
            keys = deliver(
                put_into(place.bucket), place, bill.month, rows(bill, execution_id), execution_id
            )
            print(f"delivered {bill.month:%Y-%m} in {len(keys)} files", flush=True)


if __name__ == "__main__":
    main()
