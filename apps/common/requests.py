"""What every request of the portal carries, before anybody asks who sent it."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from apps.common.simulated import Sample


class PageRequest(HttpRequest):
    """A request behind portal.middleware.request_id, knows_sample and django_htmx's: they stand
    before every door, so that a page for an error has them too.

    htmx: true where htmx asks, for a part of the page that it will swap. kept_form: the page of a
    form that is kept until the person has signed in again; not there for any other request.
    sample: the sample that pages and files have to be marked with; None where there is none.
    """

    request_id: str
    htmx: HtmxDetails
    kept_form: str
    sample: Sample | None
