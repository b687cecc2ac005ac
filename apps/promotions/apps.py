"""Django's registration of this app."""

from django.apps import AppConfig


class PromotionsConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.promotions"
