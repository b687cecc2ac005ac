"""The portal as a Django app: its management commands and its checks."""

from django.apps import AppConfig
from django.core import checks


class PortalConfig(AppConfig):
    """The project's own app, above all others; it has no models."""

    name = "portal"

    def ready(self) -> None:
        """Register the checks that need a database."""
        from portal.database import check_role

        checks.register(check_role, checks.Tags.database)
