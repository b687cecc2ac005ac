"""URLs of notices, of how people want them, and of their webhooks."""

from django.urls import path

from apps.notices import api, pages, views, webhooks_api

app_name = "notices"
urlpatterns = [
    path("", views.notice_list, name="notice_list"),
    path("read/", views.read_all, name="read_all"),
    path("choices/", views.choice_list, name="choice_list"),
    path("<uuid:pk>/", views.notice_open, name="notice_open"),
    path("webhooks/", pages.webhook_list, name="webhook_list"),
    path("webhooks/<uuid:pk>/", pages.webhook_detail, name="webhook_detail"),
    path("webhooks/<uuid:pk>/kinds/", pages.webhook_change, name="webhook_change"),
    path("webhooks/<uuid:pk>/secret/", pages.webhook_renew, name="webhook_renew"),
    path("webhooks/<uuid:pk>/start/", pages.webhook_start, name="webhook_start"),
    path("webhooks/<uuid:pk>/try/", pages.webhook_try, name="webhook_try"),
    path("webhooks/<uuid:pk>/remove/", pages.webhook_remove, name="webhook_remove"),
    path("webhooks/calls/<uuid:pk>/again/", pages.call_again, name="call_again"),
]
api_urlpatterns = [
    path("notices", api.Notices.as_view(), name="notices"),
    path("notices/<uuid:pk>/read", api.read, name="notice_read"),
    path("webhooks", webhooks_api.Webhooks.as_view(), name="webhooks"),
    path("webhooks/<uuid:pk>", webhooks_api.OneWebhook.as_view(), name="webhook"),
    path("webhooks/<uuid:pk>/<str:order>", webhooks_api.order, name="webhook_order"),
]
