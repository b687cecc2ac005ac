"""What a store keeps of a call, in which order."""

from dataclasses import fields
from operator import attrgetter

from apps.metering.access_log import NOT_STORED, UsageRecord

RECORD = tuple(field.name for field in fields(UsageRecord) if field.name not in NOT_STORED)
RECORD_VALUES = attrgetter(*RECORD)
STORED = (*RECORD, "received_at", "received_via")  # columns that are not generated
