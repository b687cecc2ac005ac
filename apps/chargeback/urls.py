"""URLs of money."""

from django.urls import path

from apps.chargeback import api, views

app_name = "chargeback"
urlpatterns = [
    path("", views.month, name="month"),
    path("rates/", views.rate_list, name="rate_list"),
    path("price/<slug:name>/", views.price_badge, name="price_badge"),
    path("grants/<uuid:pk>/use/", views.grant_use, name="grant_use"),
]
api_urlpatterns = [
    path("rates", api.Rates.as_view(), name="rates"),
    path("chargeback/<str:month>", api.month, name="chargeback_month"),
]
