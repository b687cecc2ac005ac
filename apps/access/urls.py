"""URLs of requests and grants. portal/pages/access_urls.py adds those that take prices and usage
from above.
"""

from django.urls import path

from apps.access import api, views
from apps.access.grants import api as grants_api
from apps.access.grants import views as grants

app_name = "access"
urlpatterns = [
    path("", views.request_list, name="request_list"),
    path("requests/<uuid:pk>/", views.request_detail, name="request_detail"),
    path("requests/<uuid:pk>/withdraw/", views.request_withdraw, name="request_withdraw"),
    path("grants/<uuid:pk>/", grants.grant_detail, name="grant_detail"),
    path("grants/<uuid:pk>/revoke/", grants.grant_revoke, name="grant_revoke"),
]
api_urlpatterns = [
    path("access-requests/<uuid:pk>", api.access_request, name="access_request"),
    path("grants", grants_api.Grants.as_view(), name="grants"),
    path("grants/<uuid:pk>/revoke", grants_api.revoke, name="grant_revoke"),
]
