"""Django's registration of this app."""

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.metering"
