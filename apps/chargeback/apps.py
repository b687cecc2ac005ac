"""Django's registration of this app."""

from django.apps import AppConfig


class ChargebackConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.chargeback"

    def ready(self) -> None:
        """Make the models known that are not in models.py, the one place Django looks in."""
        from apps.chargeback.bills import models as bills  # noqa: F401
        from apps.chargeback.closing import models as closing  # noqa: F401
        from apps.chargeback.month import models as month  # noqa: F401
        from apps.chargeback.trends import models as trends  # noqa: F401
