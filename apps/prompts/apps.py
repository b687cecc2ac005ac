"""Django's registration of this app."""

from django.apps import AppConfig


class PromptsConfig(AppConfig):
    """Names the app for Django."""

    name = "apps.prompts"

    def ready(self) -> None:
        """Make the models known that are not in models.py, the one place Django looks in."""
        from apps.prompts.erasures import models as erasures  # noqa: F401
        from apps.prompts.holds import models as holds  # noqa: F401
        from apps.prompts.reading import models as reading  # noqa: F401
        from apps.prompts.rules import models as rules  # noqa: F401
