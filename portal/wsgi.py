"""The WSGI entry point that the web server loads."""

import os

import django
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup(set_prefix=False)

from apps.integrations.otlp.sending import start  # noqa: E402 - reads the settings

start("portal")
application = get_wsgi_application()
