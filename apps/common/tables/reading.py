"""Reads a table: what the address asks for, the rows that answer it, and the same as CSV."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Count, F, Q, QuerySet, Sum
from django.forms import BoundField, Form
from django.http import QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django_filters import FilterSet

from apps.common.requests import PageRequest
from apps.common.spreadsheets import csv_answer
from apps.common.tables import page as shown
from apps.common.tables.columns import Column, Table, look_up

Rows = QuerySet[Any] | Sequence[Any]
LONGEST_SEARCH = 100
CHUNK = 500
LOOKUPS = ("__iexact", "__istartswith")


def respond(
    table: Table,
    request: PageRequest,
    rows: Rows,
    template: str,
    context: Mapping[str, object] | None = None,
    alone: str = "components/_table.html",
) -> HttpResponseBase:
    """Answer with the page around the table, with the table alone for htmx, or with CSV.

    The template gets `table`, a page.Page, beside `context`; so does `alone`, what draws the table
    where a page shows its rows in another way than in lines.
    """
    if wants_csv(table, request):
        return csv_of(table, request, rows)
    context = {**(context or {}), "table": read(table, request, rows)}
    return render(request, alone if is_for_table(table, request) else template, context)


def read(table: Table, request: PageRequest, rows: Rows) -> shown.Page:
    """Return a table as the address asks for it, for a page with several tables."""
    return _page(Asked(table, request, rows))


def csv_of(table: Table, request: PageRequest, rows: Rows) -> HttpResponseBase:
    """Return the rows that the table shows, of all pages, as a CSV file."""
    found = csv_rows(Asked(table, request, rows))
    return csv_answer(table.name, found, is_sample=bool(request.sample))


def wants_csv(table: Table, request: PageRequest) -> bool:
    """Return whether the address asks for this table as CSV."""
    return request.GET.get(table.parameter("format")) == "csv"


def is_for_table(table: Table, request: PageRequest) -> bool:
    """Return whether htmx swaps this table only. Going back in the history needs the whole page."""
    htmx = request.htmx
    return bool(htmx) and htmx.target == table.element and not htmx.history_restore_request


@dataclass
class Asked:
    """What the address asks of a table. What it cannot have is left out and noted."""

    table: Table
    request: PageRequest
    rows: Rows
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.query = self.request.GET
        self.text = self._get("q").strip()[:LONGEST_SEARCH] if self.table.search else ""
        self.columns = self._columns()
        self.sort, self.is_descending = self._sort()
        self.form, self.filter_data = self._filters()

    def _get(self, name: str) -> str:
        return self.query.get(self.table.parameter(name), "")

    def _columns(self) -> list[Column]:
        name = self.table.parameter("columns")
        if name not in self.query:
            return [column for column in self.table.columns if column.at_first]
        keys = {key for text in self.query.getlist(name) for key in text.split(",") if key}
        known = {column.key for column in self.table.columns}
        if unknown := sorted(keys - known):
            self.notes.append(f"There is no column {_quoted(unknown)}.")
        return [
            column for column in self.table.columns if column.key in keys or not column.optional
        ]

    def _sort(self) -> tuple[Column, bool]:
        for given in (self._get("sort"), self.table.order):
            found = self.table.column(given.removeprefix("-"))
            if found and found.sort is not None:
                return found, given.startswith("-")
            if given:
                self.notes.append(f"These rows cannot be sorted by {_quoted([given])}.")
        raise ValueError(f"{self.table.name}: no column sorts by {self.table.order!r}")

    def _filters(self) -> tuple[Form | None, QueryDict]:
        """Return the filters' form without the values that it refuses."""
        data = self.query.copy()
        if self.table.filters is None:
            return None, data
        form: Form = self.filter_set(self.table.filters, data).form
        for name in list(form.errors):
            if name not in form.fields:
                continue
            parameter = form.add_prefix(name)
            given = [value for value in data.getlist(parameter) if value]
            label = form.fields[name].label or name
            self.notes.append(f"{_quoted(given)} is not a value of the filter {label}.")
            data.setlist(parameter, [])
        if form.errors:
            form = self.filter_set(self.table.filters, data).form
            form.is_valid()
        return form, data

    def filter_set(self, filters: type[FilterSet], data: QueryDict) -> Any:
        """Return the table's filters with these values. A list is filtered here, not by them."""
        rows = self.rows if isinstance(self.rows, QuerySet) else QuerySet[Any]()
        prefix = self.table.prefix or None
        return filters(data, queryset=rows, request=self.request, prefix=prefix)

    @property
    def fields(self) -> list[BoundField]:
        """Return the filters' fields for the toolbar."""
        return list(self.form) if self.form else []

    def address(self, *without: str, **changes: str | None) -> str:
        """Return this address with own parameters changed, and without those named; the others
        stay.
        """
        query = self.query.copy()
        for name in without:
            query.pop(name, None)
        for name, value in changes.items():
            query.pop(self.table.parameter(name), None)
            if value is not None:
                query[self.table.parameter(name)] = value
        query.pop(self.table.parameter("format"), None)
        if "format" in changes:
            query[self.table.parameter("format")] = str(changes["format"])
        return f"?{query.urlencode()}"

    def carried(self, *without: str) -> list[tuple[str, str]]:
        """Return the parameters that a form has to carry along."""
        left_out = {*without, self.table.parameter("page"), self.table.parameter("format")}
        return [
            (name, value)
            for name, values in self.query.lists()
            if name not in left_out
            for value in values
        ]


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"“{word[:40]}”" for word in words)


# -- Rows ------------------------------------------------------------------------------------------
def csv_rows(asked: Asked) -> Iterator[Sequence[object]]:
    """Return the head and every row that the table shows, of all pages, in its order."""
    yield [column.head_in_csv for column in asked.columns]
    found = _found(asked)
    each = found.iterator(chunk_size=CHUNK) if isinstance(found, QuerySet) else iter(found)
    while chunk := list(islice(each, CHUNK)):
        for row in asked.table.with_facts(chunk):
            yield [column.csv_of(row) for column in asked.columns]


def _found(asked: Asked) -> Rows:
    if isinstance(asked.rows, QuerySet):
        return _ordered(asked, _searched(asked, _filtered(asked, asked.rows)))
    return _of_list(asked, asked.rows)


def _searched(asked: Asked, rows: QuerySet[Any]) -> QuerySet[Any]:
    wanted = Q()
    for name in asked.table.search if asked.text else ():
        lookup = name if name.endswith(LOOKUPS) else f"{name}__icontains"
        wanted |= Q(**{lookup: asked.text})
    return rows.filter(wanted)


def _filtered(asked: Asked, rows: QuerySet[Any]) -> QuerySet[Any]:
    if asked.table.filters is None:
        return rows
    found: QuerySet[Any] = asked.filter_set(asked.table.filters, asked.filter_data).qs
    return found


def _ordered(asked: Asked, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Sort in the database: unknown comes last both ways, and equal rows keep one order."""
    names = asked.sort.sort
    order: list[Any] = []
    for name in [names] if isinstance(names, str) else list(names or ()):
        down = name.startswith("-") != asked.is_descending
        name = name.removeprefix("-")
        last = True if _may_be_unknown(rows, name) else None
        order.append(F(name).desc(nulls_last=last) if down else F(name).asc(nulls_last=last))
    return rows.order_by(*order, *asked.table.ties)


def _may_be_unknown(rows: QuerySet[Any], name: str) -> bool:
    """Tell whether a value to sort by can be missing. Where it cannot, nothing is said of it, so
    that an index may serve the order: Postgres keeps what is missing first in a descending one.
    """
    try:
        return bool(getattr(rows.model._meta.get_field(name), "null", True))
    except FieldDoesNotExist:
        return True


def _of_list(asked: Asked, rows: Sequence[Any]) -> list[Any]:
    found = [row for row in rows if _has(row, asked.table.search, asked.text)]
    wanted = _wanted(asked)
    found = [row for row in found if all(_is(row, *each) for each in wanted)]
    names = asked.sort.sort
    paths = [names] if isinstance(names, str) else list(names or ())
    for path in reversed(paths):
        down = path.startswith("-") != asked.is_descending
        name = path.removeprefix("-")
        known = [row for row in found if look_up(row, name) is not None]
        unknown = [row for row in found if look_up(row, name) is None]
        found = sorted(known, key=partial(_value, name), reverse=down) + unknown
    return found


def _value(path: str, row: Any) -> Any:
    return look_up(row, path)


def _has(row: Any, paths: Sequence[str], text: str) -> bool:
    return not text or any(text.lower() in str(look_up(row, path)).lower() for path in paths)


def _wanted(asked: Asked) -> list[tuple[str, Any]]:
    """Return the paths of a list's rows that the filters ask for, each with the wanted value."""
    if asked.table.filters is None or asked.form is None or not asked.form.is_valid():
        return []
    paths = {name: found.field_name for name, found in asked.table.filters.base_filters.items()}
    return [(paths[name], value) for name, value in asked.form.cleaned_data.items() if value]


def _is(row: Any, path: str, wanted: Any) -> bool:
    """Tell whether a row has a wanted value; several values of it, or several wanted, are any."""
    value = look_up(row, path)
    have = value if isinstance(value, tuple) else (value,)
    wants = wanted if isinstance(wanted, list | tuple | set) else (wanted,)
    return not {str(each) for each in have}.isdisjoint(str(each) for each in wants)


# -- The page --------------------------------------------------------------------------------------
def _page(asked: Asked) -> shown.Page:
    found = _found(asked)
    is_more = _is_more(asked.table, found)
    count, sums = (asked.table.most, []) if is_more else _totals(asked, found)
    table, size = asked.table, asked.table.page_size
    pages = max(1, -(-count // size))
    number = _number(asked, pages)
    start = (number - 1) * size
    rows = table.with_facts(list(found[start : start + size])) if count else []
    filters = [field.html_name for field in asked.fields]
    own = [table.parameter("q"), *filters]
    return shown.Page(
        table=table,
        lines=[_line(asked, row) for row in rows],
        heads=[_head(asked, column) for column in asked.columns],
        choices=[
            shown.Choice(column, column in asked.columns)
            for column in table.columns
            if column.optional
        ],
        chips=_chips(asked),
        sums=sums,
        notes=asked.notes,
        count=count,
        is_more=is_more,
        number=number,
        pages=pages,
        start=start + 1,
        query=asked.text,
        fields=asked.fields,
        hidden=asked.carried(*own),
        column_hidden=asked.carried(table.parameter("columns")),
        path=asked.request.path,
        address=asked.address(),
        first_url=asked.address(page=None) if number > 2 else "",
        previous_url=asked.address(page=str(number - 1)) if number > 1 else "",
        next_url=asked.address(page=str(number + 1)) if number < pages else "",
        csv_url=asked.address(page=None, format="csv"),
        clear_url=asked.address(*own, page=None),
    )


def _number(asked: Asked, pages: int) -> int:
    given = asked.query.get(asked.table.parameter("page"), "") or "1"
    number = int(given) if given.isascii() and given.isdecimal() and len(given) < 9 else 0
    if 1 <= number <= pages:
        return number
    asked.notes.append(f"There is no page {_quoted([given])}: there are {pages}.")
    return pages if number > pages else 1


def _line(asked: Asked, row: Any) -> shown.Line:
    return shown.Line(row, [_cell(column, row) for column in asked.columns])


def _cell(column: Column, row: Any) -> shown.Cell:
    return shown.Cell(
        column=column,
        row=row,
        value=column.value_of(row),
        sub=look_up(row, column.sub) if column.sub else "",
        url=column.url(row) if column.url else "",
        title=look_up(row, column.title) if column.title else "",
    )


def _head(asked: Asked, column: Column) -> shown.Head:
    if column.sort is None:
        return shown.Head(column, "", "")
    here = column == asked.sort
    direction = ("descending" if asked.is_descending else "ascending") if here else ""
    # Figures and times are asked for from the top, words from A.
    falls = column.is_figure or column.kind in ("time", "age", "date")
    down = not asked.is_descending if here else falls
    return shown.Head(
        column, asked.address(sort=f"-{column.key}" if down else column.key, page=None), direction
    )


def _chips(asked: Asked) -> list[shown.Chip]:
    chips = []
    page = asked.table.parameter("page")
    if asked.text:
        without = asked.address(asked.table.parameter("q"), page)
        chips.append(shown.Chip(f"“{asked.text}”", without))
    for bound in asked.fields:
        values = [value for value in asked.filter_data.getlist(bound.html_name) if value]
        if not values:
            continue
        words = ", ".join(_words_of(bound, value) for value in values)
        without = asked.address(bound.html_name, page)
        chips.append(shown.Chip(f"{bound.label}: {words}", without))
    return chips


def _words_of(bound: BoundField, value: str) -> str:
    """Return a filter's value as its choice is called."""
    for key, label in getattr(bound.field, "choices", ()):
        options = label if isinstance(label, list | tuple) else [(key, label)]
        for option, words in options:
            if str(option) == value:
                return str(words)
    return value


def _is_more(table: Table, found: Rows) -> bool:
    """Tell whether there are more rows than the table counts. Reads no more than that."""
    if not table.most or not isinstance(found, QuerySet):
        return False
    return found.order_by()[table.most : table.most + 1].exists()


def _totals(asked: Asked, found: Rows) -> tuple[int, list[shown.Sum | Column]]:
    """Return how many rows there are, and a cell for each column, summed over all pages: none where
    there is no row, or no column has a total. The database is asked once.
    """
    summed = [column for column in asked.columns if column.total]
    if isinstance(found, QuerySet):
        count, sums = _totals_of(found, summed)
    else:
        count, sums = len(found), {column.key: _sum_of(column, found) for column in summed}
    shows = bool(count and summed)
    return count, [sums.get(column.key, column) for column in asked.columns] if shows else []


def _totals_of(found: QuerySet[Any], summed: Sequence[Column]) -> tuple[int, dict[str, shown.Sum]]:
    if not summed:
        return found.count(), {}
    wanted: dict[str, Any] = {"count": Count("*")}
    for at, column in enumerate(summed):
        wanted[f"total_{at}"] = Sum(column.total)
        wanted[f"known_{at}"] = Count(column.total or "pk")
    answer = found.order_by().aggregate(**wanted)
    count = answer["count"]
    return count, {
        column.key: shown.Sum(column, answer[f"total_{at}"], count - answer[f"known_{at}"])
        for at, column in enumerate(summed)
    }


def _sum_of(column: Column, rows: Sequence[Any]) -> shown.Sum:
    values = [look_up(row, column.total or "") for row in rows]
    known: list[Decimal] = [value for value in values if value is not None]
    total = sum(known[1:], start=known[0]) if known else None
    return shown.Sum(column, total, len(values) - len(known))
