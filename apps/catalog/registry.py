"""The registry as the settings describe it, for views, API and commands."""

from datetime import timedelta

from django.conf import settings

from apps.catalog.uploads import Registry
from apps.integrations.s3.client import client_from_settings


def registry_from_settings() -> Registry:
    """Return the configured bucket and how long its objects are locked."""
    return Registry(client_from_settings(), timedelta(days=settings.REGISTRY_RETENTION_DAYS))
