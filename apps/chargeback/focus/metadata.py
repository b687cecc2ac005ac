"""What accompanies a file of FOCUS rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from apps.chargeback.focus.columns import FileBasis, Kind, Version, columns
from apps.chargeback.focus.text import time_text
from apps.common.periods import month_bounds


@dataclass(frozen=True)
class Unpriced:
    """What the month has and no row can say, because nobody knows its price."""

    tokens: int = 0
    rerank_requests: int = 0
    machine_seconds: Decimal = Decimal(0)
    calls_without_usage: int = 0


@dataclass(frozen=True)
class Metadata:
    """What accompanies the data, as FOCUS asks: which schema it has, and what it leaves out.
    is_sample: usage of the month was made up.
    """

    version: Version
    created_at: datetime
    basis: FileBasis
    month: date
    unpriced: Unpriced = field(default_factory=Unpriced)
    is_sample: bool = False

    def plain(self) -> dict[str, object]:
        """Return it as JSON takes it. It tells of the sample where it is one alone."""
        return ({"x_Sample": True} if self.is_sample else {}) | {
            "SchemaId": f"quartermaster-focus-{self.version}",
            "FocusVersion": self.version,
            "CreationDate": time_text(self.created_at),
            "DataGenerator": "Quartermaster",
            "x_CostBasis": self.basis,
            "x_BillingPeriodStart": time_text(month_bounds(self.month)[0]),
            "x_UnpricedTokens": self.unpriced.tokens,
            "x_UnpricedRerankRequests": self.unpriced.rerank_requests,
            "x_UnpricedMachineSeconds": str(self.unpriced.machine_seconds),
            "x_CallsWithoutUsage": self.unpriced.calls_without_usage,
            "ColumnDefinition": [
                {"ColumnName": column.name, "DataType": _DATA_TYPES[column.kind]}
                | ({"NumericPrecision": 38, "NumberScale": 18} if column.kind == "decimal" else {})
                for column in columns(self.version)
            ],
        }


_DATA_TYPES: Mapping[Kind, str] = {
    "text": "STRING",
    "decimal": "DECIMAL",
    "time": "DATETIME",
    "json": "JSON",
}
