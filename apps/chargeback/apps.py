"""Django's registration of this app."""

from django.apps import AppConfig


class ChargebackConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.chargeback"
