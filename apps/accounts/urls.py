"""Pages about the person who is signed in."""

from django.urls import path

from apps.accounts import api, views

# mozilla-django-oidc looks for these two by name, outside any namespace.
sign_in_urlpatterns = [
    path("oidc/authenticate/", views.SignInView.as_view(), name="oidc_authentication_init"),
    path("oidc/callback/", views.CallbackView.as_view(), name="oidc_authentication_callback"),
]

app_name = "accounts"
urlpatterns = [
    path("account/", views.me, name="me"),
    path("account/no-access/", views.no_access, name="no_access"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("signed-out/", views.signed_out, name="signed_out"),
]
api_urlpatterns = [path("me", api.me, name="me")]
