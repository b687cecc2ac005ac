"""Django's registration of this app."""

from django.apps import AppConfig


class EvaluationsConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.evals"
