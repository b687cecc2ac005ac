"""One line that whoever runs the portal wants on every page: maintenance, or what is still being
built.

It comes from a file, so that it can be changed while the portal runs, and without the portal's
help.
"""

from pathlib import Path

from django.conf import settings

LONGEST = 300


def notice() -> str:
    """Return the first line of NOTICE_FILE; "" where there is none."""
    if not settings.NOTICE_FILE:
        return ""
    try:
        with Path(settings.NOTICE_FILE).open(encoding="utf-8", errors="replace") as file:
            return file.readline(LONGEST).strip()
    except OSError:
        return ""
