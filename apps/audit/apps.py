"""Django's registration of this app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.audit"
