"""The app's registration."""

from django.apps import AppConfig


class NoticesConfig(AppConfig):
    """Who is told what."""

    name = "apps.notices"
