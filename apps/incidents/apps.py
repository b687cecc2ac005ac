"""Django's registration of this app."""

from django.apps import AppConfig


class IncidentsConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.incidents"
