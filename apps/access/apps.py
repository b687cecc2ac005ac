"""Django's registration of this app."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.access"

    def ready(self) -> None:
        """Make the models of budgets known, whoever asks first."""
        from apps.access.budgets import models  # noqa: F401 (Django looks in models.py alone)
