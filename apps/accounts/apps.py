"""Django's registration of this app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.accounts"

    def ready(self) -> None:
        """Make the models known that are not in models.py, the one place Django looks in."""
        from apps.accounts.pipelines import models as pipelines  # noqa: F401
        from apps.accounts.recertification import models  # noqa: F401
