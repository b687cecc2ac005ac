"""Django's registration of this app."""

from django.apps import AppConfig


class TracesConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.traces"
