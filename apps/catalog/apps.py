"""Django's registration of this app."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.catalog"
