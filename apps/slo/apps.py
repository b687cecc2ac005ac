"""Django's registration of this app."""

from django.apps import AppConfig


class SloConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.slo"
