"""Django's registration of this app."""

from django.apps import AppConfig


class OversightConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.oversight"

    def ready(self) -> None:
        """Make the models known that are not in models.py, the one place Django looks in."""
        from apps.oversight.evidence import models  # noqa: F401
