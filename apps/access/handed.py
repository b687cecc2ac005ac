"""What this app needs of prices and usage, which stand above it: portal/pages/access_urls.py hands
it in.
"""

from collections.abc import Callable
from datetime import datetime

from apps.access.models import AccessRequest, Grant
from apps.access.work import Estimate, Seen, Use, Work
from apps.accounts.models import Team
from apps.catalog.models import RegisteredModel

EstimateOf = Callable[[RegisteredModel, Team | None, Work, datetime], Estimate]
AgainOf = Callable[[AccessRequest, datetime], Estimate | None]
SeenOf = Callable[[AccessRequest, datetime], Seen]
UseOf = Callable[[Grant, datetime], Use]
