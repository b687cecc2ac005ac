"""Django's registration of this app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.catalog"

    def ready(self) -> None:
        """Make the models known that are not in models.py, the one place Django looks in."""
        from apps.catalog.signers import models as signers  # noqa: F401
        from apps.catalog.verification import models as verification  # noqa: F401
