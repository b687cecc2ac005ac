"""URLs of budgets, below chargeback/."""

from django.urls import path

from apps.chargeback.budgets import api, asked, orders, views

CHANGE, BOOST = {"kind": "change"}, {"kind": "boost"}

urlpatterns = [
    path("budgets/", views.budget_list, name="budget_list"),
    path("budgets/new/", views.budget_create, name="budget_create"),
    path("budgets/<uuid:series>/", views.budget_detail, name="budget_detail"),
    path("budgets/<uuid:series>/change/", views.budget_change, name="budget_change"),
    path("budgets/<uuid:series>/end/", views.budget_end, name="budget_end"),
    path("budgets/<uuid:series>/boost/", views.boost_create, name="boost_create"),
    path("budget-changes/<uuid:pk>/", asked.detail, CHANGE, name="budget_change_detail"),
    path("budget-changes/<uuid:pk>/approve/", asked.approve, CHANGE, name="budget_change_approve"),
    path("budget-changes/<uuid:pk>/reject/", asked.reject, CHANGE, name="budget_change_reject"),
    path(
        "budget-changes/<uuid:pk>/withdraw/", asked.withdraw, CHANGE, name="budget_change_withdraw"
    ),
    path("boosts/<uuid:pk>/", asked.detail, BOOST, name="boost_detail"),
    path("boosts/<uuid:pk>/approve/", asked.approve, BOOST, name="boost_approve"),
    path("boosts/<uuid:pk>/reject/", asked.reject, BOOST, name="boost_reject"),
    path("boosts/<uuid:pk>/withdraw/", asked.withdraw, BOOST, name="boost_withdraw"),
    path("boosts/<uuid:pk>/end/", asked.end, BOOST, name="boost_end"),
]
api_urlpatterns = [
    path("budgets", api.Budgets.as_view(), name="budgets"),
    path("budgets/<uuid:series>", api.budget, name="budget"),
    path("budgets/<uuid:series>/changes", orders.change, name="budget_changes"),
    path("budgets/<uuid:series>/end", orders.end, name="budget_end"),
    path("budgets/<uuid:series>/boosts", orders.boost, name="budget_boosts"),
    path("budget-changes/<uuid:pk>", orders.change_read, name="budget_change"),
    path(
        "budget-changes/<uuid:pk>/<str:decision>",
        orders.decide_change,
        name="budget_change_decide",
    ),
    path("boosts/<uuid:pk>", orders.boost_read, name="boost"),
    path("boosts/<uuid:pk>/<str:decision>", orders.decide_boost, name="boost_decide"),
]
