"""Django's registration of this app."""

from django.apps import AppConfig


class AccessConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.access"
