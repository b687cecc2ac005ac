"""The names of the built styles, scripts, fonts and icons: `npm run build` hashes them and writes a
manifest.

Without a build the pages work, bare; a line in the log and a check say what to run.
"""

import json
import logging
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register
from django.templatetags.static import static

log = logging.getLogger(__name__)
MISSING = "The pages have no styles yet: static/dist/app/manifest.json is missing."
HINT = (
    "Run `npm ci && npm run build` in the project's folder; the portal then finds them by itself."
)


def manifest() -> dict[str, str]:
    """Return the built names by plain name; empty where nothing was built. A build may come while
    the portal runs.
    """
    path = settings.ASSETS_DIR / "manifest.json"
    try:
        return _names(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):  # no build, or one that is being written
        _say_missing()
        return {}


@lru_cache(maxsize=1)
def _names(path: Path, _changed: int) -> dict[str, str]:
    names: dict[str, str] = json.loads(path.read_text())
    return names


@cache
def _say_missing() -> None:
    log.warning("%s %s", MISSING, HINT)


def asset_url(name: str) -> str:
    """Return the address of a built file, "app.css"."""
    return _address(manifest().get(name, name))


@cache  # a page asks dozens of times, once an icon
def _address(built: str) -> str:
    return static(f"app/{built}")


@register()
def assets_are_built(**_: Any) -> list[CheckMessage]:
    """Warn at start-up where the front end was not built."""
    if (settings.ASSETS_DIR / "manifest.json").exists():
        return []
    return [Warning(MISSING, hint=HINT, id="portal.W001")]
