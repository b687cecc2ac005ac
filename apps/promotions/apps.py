"""Django's registration of this app."""

from django.apps import AppConfig


class PromotionsConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.promotions"

    def ready(self) -> None:
        """Make the models known that are not in models.py, the one place Django looks in."""
        from apps.promotions.binding import models as binding  # noqa: F401
        from apps.promotions.changes import models as changes  # noqa: F401
        from apps.promotions.emergencies import models as emergencies  # noqa: F401
