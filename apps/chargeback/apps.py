"""Django's registration of this app."""

from django.apps import AppConfig


class ChargebackConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.chargeback"

    def ready(self) -> None:
        """Make the models of closed months known, whoever asks first."""
        from apps.chargeback.closing import models  # noqa: F401 (Django looks in models.py alone)
