"""What every request of the portal carries, before anybody asks who sent it."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class PageRequest(HttpRequest):
    """A request behind portal.middleware.request_id and django_htmx's: both stand before every
    door, so that a page for an error has them too.

    htmx: true where htmx asks, for a part of the page that it will swap. kept_form: the page of a
    form that is kept until the person has signed in again; not there for any other request.
    """

    request_id: str
    htmx: HtmxDetails
    kept_form: str
