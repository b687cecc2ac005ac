"""Addresses of the pages and the API of the gateway that join several apps."""

from django.urls import path

from portal.pages.gateway import api as doors
from portal.pages.gateway import overview
from portal.pages.gateway.trace import trace
from portal.pages.gateway.unanswered import unanswered
from portal.pages.gateway.why import why

pages = [
    path("gateway/", overview.routes, name="routes"),
    path("gateway/limits/", overview.limits, name="limits"),
    path("gateway/drift/", overview.drift, name="drift"),
    path("gateway/unanswered/", unanswered, name="unanswered"),
    path("gateway/why/", why, name="why"),
    path("gateway/trace/<uuid:request_id>/", trace, name="trace"),
]
api = [
    path("gateway/routes", doors.routes, name="gateway_routes"),
    path("gateway/unanswered", doors.unanswered, name="gateway_unanswered"),
    path("gateway/why", doors.why, name="gateway_why"),
]
