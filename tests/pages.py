"""Pages as tests read them, and as they give them to a browser."""

from urllib.parse import urlsplit

from django.conf import settings


def joined(html: str | bytes) -> str:
    """Return a page with every run of white space as one space, as a browser shows it: how a
    template breaks its lines says nothing.
    """
    return " ".join((html.decode() if isinstance(html, bytes) else html).split())


def answer(found, route, request):
    """Answer the browser without the database: with the page, and with built files."""
    path = urlsplit(request.url).path
    if request.is_navigation_request():
        route.fulfill(headers=dict(found.items()), body=found.content)
    elif path.startswith("/static/app/"):
        route.fulfill(path=settings.ASSETS_DIR / path.rpartition("/")[2])
    else:
        route.fulfill(status=204)
