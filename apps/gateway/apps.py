"""Django's registration of this app."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.gateway"
