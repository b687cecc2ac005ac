"""Marks FOCUS rows of the sample: whoever has the file alone must see that nobody owes it."""

import json
from collections.abc import Collection
from datetime import date, datetime

from apps.chargeback.focus.columns import Row
from apps.chargeback.focus.text import json_text
from apps.common.periods import day_of
from apps.common.simulated import SAMPLE_MARK

PERIODS = ("BillingPeriodStart", "x_CorrectsBillingPeriodStart")
TAG = "sample"


def marked(row: Row, months: Collection[date]) -> Row:
    """Return a row with the mark in its description and its tags, where the month that bills it, or
    the one that it corrects, is of the sample. months: those that are.
    """
    begins = (row.get(name) for name in PERIODS)
    if not any(isinstance(at, datetime) and day_of(at) in months for at in begins):
        return row
    tags = json.loads(str(row["Tags"])) | {TAG: "true"}
    words = f"{SAMPLE_MARK}: {row['ChargeDescription']}"
    return row | {"ChargeDescription": words, "Tags": json_text(tags)}
