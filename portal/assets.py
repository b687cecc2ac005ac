"""The names of the built styles, scripts, fonts and icons: `npm run build` hashes them and writes a manifest.

Without a build the pages work, bare; a line in the log and a check say what to run.
"""

import json
import logging
from functools import cache
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.templatetags.static import static

log = logging.getLogger(__name__)
MISSING = "The pages have no styles yet: static/dist/app/manifest.json is missing."
HINT = "Run `npm ci && npm run build` in the project's folder, then start the portal again."


@cache
def manifest() -> dict[str, str]:
    """Return the built names by plain name; empty, and said once in the log, where nothing was built."""
    try:
        names: dict[str, str] = json.loads((settings.ASSETS_DIR / "manifest.json").read_text())
    except OSError:
        log.warning("%s %s", MISSING, HINT)
        return {}
    return names


def asset_url(name: str) -> str:
    """Return the address of a built file, "app.css"."""
    return static(f"app/{manifest().get(name, name)}")


@register()
def assets_are_built(**_: Any) -> list[CheckMessage]:
    """Warn at start-up where the front end was not built."""
    if (settings.ASSETS_DIR / "manifest.json").exists():
        return []
    return [Warning(MISSING, hint=HINT, id="portal.W001")]
