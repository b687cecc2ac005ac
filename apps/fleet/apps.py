"""Django's registration of this app."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.fleet"
