"""How long the periods are that money is said for, wherever it is said."""

from decimal import Decimal

HOURS_PER_DAY = Decimal(24)
# A year's hours over twelve, as AWS counts a month in its own prices.
HOURS_PER_MONTH = Decimal(730)
SECONDS_PER_HOUR = Decimal(3600)
