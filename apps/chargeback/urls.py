"""URLs of money."""

from django.urls import path

from apps.chargeback import api, views
from apps.chargeback.budgets import urls as budgets
from apps.chargeback.closing import views as closing
from apps.chargeback.documents import views as documents
from apps.chargeback.focus import views as focus
from apps.chargeback.month import views as month
from apps.chargeback.prices import api as prices_api
from apps.chargeback.prices import estimates
from apps.chargeback.prices import views as prices
from apps.chargeback.reconciliation import views as reconciliation
from apps.chargeback.reconciliation.bill import views as bill
from apps.chargeback.reconciliation.spend import views as spend
from apps.chargeback.trends import views as trends

app_name = "chargeback"
urlpatterns = [
    path("", month.month, name="month"),
    path("trends/", trends.trends, name="trends"),
    path("machines/", month.month_machines, name="month_machines"),
    path("closes/", closing.month_close_list, name="month_close_list"),
    path("closes/new/<str:month>/", closing.month_close_create, name="month_close_create"),
    path("closes/<uuid:pk>/", closing.month_close_detail, name="month_close_detail"),
    path("closes/<uuid:pk>/approve/", closing.month_close_approve, name="month_close_approve"),
    path("closes/<uuid:pk>/reject/", closing.month_close_reject, name="month_close_reject"),
    path("closes/<uuid:pk>/withdraw/", closing.month_close_withdraw, name="month_close_withdraw"),
    path("statements/<str:number>/", closing.statement_detail, name="statement_detail"),
    path(
        "statements/<str:number>/document/", documents.statement_document, name="statement_document"
    ),
    path("statements/<str:number>/pdf/", documents.statement_pdf, name="statement_pdf"),
    path(
        "statements/<str:number>/document/retry/",
        documents.statement_document_retry,
        name="statement_document_retry",
    ),
    path("focus/<str:month>/", focus.focus_export, name="focus_export"),
    path("reconciliation/", reconciliation.reconciliation, name="reconciliation"),
    path("reconciliation/bill/", bill.bill_reconciliation, name="bill_reconciliation"),
    path("reconciliation/spend/", spend.spend_reconciliation, name="spend_reconciliation"),
    path("rates/", prices.rate_list, name="rate_list"),
    path("rates/estimates/", estimates.estimate_rule_create, name="estimate_rule_create"),
    path("rates/propose/", prices.price_change_create, name="price_change_create"),
    path("price-changes/<uuid:pk>/", prices.price_change_detail, name="price_change_detail"),
    path(
        "price-changes/<uuid:pk>/approve/", prices.price_change_approve, name="price_change_approve"
    ),
    path("price-changes/<uuid:pk>/reject/", prices.price_change_reject, name="price_change_reject"),
    path(
        "price-changes/<uuid:pk>/withdraw/",
        prices.price_change_withdraw,
        name="price_change_withdraw",
    ),
    path("grants/<uuid:pk>/use/", views.grant_use, name="grant_use"),
    *budgets.urlpatterns,
]
api_urlpatterns = [
    path("rates", prices_api.Rates.as_view(), name="rates"),
    path("price-changes", prices_api.PriceChanges.as_view(), name="price_changes"),
    path("price-changes/<uuid:pk>", prices_api.price_change, name="price_change"),
    path("price-changes/<uuid:pk>/<str:decision>", prices_api.decide, name="price_change_decide"),
    *budgets.api_urlpatterns,
    path("chargeback/<str:month>", api.month, name="chargeback_month"),
]
