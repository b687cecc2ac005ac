"""Tables: every list of the product is one of these. Declared once, read from the address.

How to use, in a view:

    REQUESTS = Table(
        name="requests",
        noun=("request", "requests"),
        columns=(
            Column("model", "Model", "registered_model.name", sort="registered_model__name",
                   url=lambda row: row.get_absolute_url(), place="name"),
            Column("state", "State", access_badge, kind="badge", sort="status"),
            Column("budget", "Budget", "monthly_budget_usd", kind="money", unit="a month",
                   sort="monthly_budget_usd", total="monthly_budget_usd", place="figure"),
            Column("asked", "Asked", "requested_at", kind="time", sort="requested_at"),
            Column("id", "Id", "id", kind="mono", optional=True, at_first=False),
        ),
        search=("registered_model__name", "team__slug"),
        search_words="Model or team",
        filters=RequestFilters,          # a django_filters.FilterSet; one toolbar field per filter
        order="-asked",
        empty=Empty("No requests yet", "Team leads ask for a model from the catalog."),
    )

    def request_list(request):
        rows = AccessRequest.objects.visible_to(request.user).select_related("registered_model")
        return respond(REQUESTS, request, rows, "access/request_list.html", {"needs": …})

and in access/request_list.html:  {% include "components/_table.html" %}

`respond` answers with the page, with the table alone where htmx asks for it, or with ?format=csv:
every row that the search, the filters and the columns now show, in the order shown. Several tables
on one page have a `prefix` each and are made with `read(table, request, rows)`; the template then
includes each with `{% include "components/_table.html" with table=idle only %}`, and the view
answers `csv_of(…)` where `wants_csv(…)`.

rows: a queryset, which is searched, sorted, counted, summed and cut in the database (two queries a
page), or a list of frozen dataclasses, which is searched, filtered and sorted
here: paths, and the `field_name` of each filter, name their attributes. A value of the address that
means nothing is left out and said in a line above the table; it is never an error.

What the rows of a page need and do not know by themselves is asked once for all of them: the
table's `with_facts`.

The parts: columns.py declares, reading.py reads the address and the rows, page.py is what the
template shows.
"""
