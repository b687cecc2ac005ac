"""What this app needs of prices and usage, which stand above it: portal/urls.py hands it in."""

from collections.abc import Callable
from datetime import datetime

from apps.access.models import Grant
from apps.access.work import Estimate, Use, Work
from apps.accounts.models import Team
from apps.catalog.models import RegisteredModel

EstimateOf = Callable[[RegisteredModel, Team | None, Work, datetime], Estimate]
UseOf = Callable[[Grant, datetime], Use]
