"""Django's registration of this app."""

from django.apps import AppConfig


class ChargebackConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.chargeback"

    def ready(self) -> None:
        """Make the models of bills and of closed months known, whoever asks first."""
        # Django looks in models.py alone
        from apps.chargeback.bills import models as bills  # noqa: F401
        from apps.chargeback.closing import models  # noqa: F401
