"""URLs of access whose views take prices and usage: these stand above apps/access, so they are
handed in here.
"""

from django.urls import URLPattern, path

from apps.access.api import AccessRequests
from apps.access.api import decide as decide_request
from apps.access.grants import api as grants
from apps.access.grants.views import grant_keep
from apps.access.views import request_approve, request_reject
from portal.pages import requests
from portal.pages.estimates import again, estimate, seen_of, use_of

USE, SEEN = {"use_of": use_of}, {"seen_of": seen_of}
RENEWAL = USE | {"again_of": again}
pages: list[URLPattern] = [
    path("request/<slug:name>/", requests.request_create, name="request_create"),
    path("request/<slug:name>/estimate/", requests.request_estimate, name="request_estimate"),
    path("requests/<uuid:pk>/today/", requests.request_today, name="request_today"),
    path("requests/<uuid:pk>/approve/", request_approve, SEEN, name="request_approve"),
    path("requests/<uuid:pk>/reject/", request_reject, SEEN, name="request_reject"),
    path("grants/<uuid:pk>/renew/", requests.grant_renew, name="grant_renew"),
    path("grants/<uuid:pk>/keep/", grant_keep, USE, name="grant_keep"),
]
ask = AccessRequests.as_view(estimate=estimate, use_of=use_of)
api: list[URLPattern] = [
    path("access-requests", ask, name="access_requests"),
    path(
        "access-requests/<uuid:pk>/<str:decision>",
        decide_request,
        SEEN,
        name="access_request_decide",
    ),
    path("grants/<uuid:pk>/renew", grants.renew, RENEWAL, name="grant_renew"),
    path("grants/<uuid:pk>/keep", grants.keep, USE, name="grant_keep"),
]
