"""Django's registration of this app."""

from django.apps import AppConfig


class CapacityConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.capacity"
