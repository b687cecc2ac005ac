"""Pages about the person who is signed in."""

from django.urls import path

from apps.accounts import views

app_name = "accounts"
urlpatterns = [
    path("account/", views.me, name="me"),
    path("account/no-access/", views.no_access, name="no_access"),
    path("signed-out/", views.signed_out, name="signed_out"),
]
