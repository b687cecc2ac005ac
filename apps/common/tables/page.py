"""What components/_table.html shows: cells, heads, chips, pages, each with its address."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.forms import BoundField

from apps.common.tables.columns import Column, Empty, Table


@dataclass(frozen=True)
class Cell:
    """One cell. sub and title are empty where there is nothing to say."""

    column: Column
    row: object
    value: Any
    sub: Any = ""
    url: str = ""
    title: str = ""

    @property
    def template(self) -> str:
        """Return the template that shows it."""
        return self.column.template or f"components/cells/{self.column.kind}.html"

    @property
    def is_unknown(self) -> bool:
        """Return whether nobody knows the value: then the column's word stands there."""
        return self.value is None or self.value == ""


@dataclass(frozen=True)
class Line:
    """One row with its cells. row: of the kind that the view gave."""

    row: Any
    cells: list[Cell]


@dataclass(frozen=True)
class Head:
    """A column's head. direction: "ascending", "descending" or nothing, as aria-sort says it."""

    column: Column
    url: str
    direction: str


@dataclass(frozen=True)
class Choice:
    """A column that people may take away."""

    column: Column
    is_shown: bool


@dataclass(frozen=True)
class Chip:
    """A filter in force, and the address without it."""

    words: str
    url: str


@dataclass(frozen=True)
class Sum:
    """A cell of the total row. unknown: how many rows have no value and are not in it."""

    column: Column
    value: Any
    unknown: int = 0


@dataclass(frozen=True)
class Page:
    """A table as asked for. count: of all pages. start and end count from 1. is_more: there are
    more rows than are counted, and no page of them.

    hidden: the parameters that the toolbar's form and the column form must carry along.
    notes: what the address asked for and did not get.
    """

    table: Table
    lines: Sequence[Line]
    heads: Sequence[Head]
    choices: Sequence[Choice]
    chips: Sequence[Chip]
    sums: Sequence[Sum | Column]
    notes: Sequence[str]
    count: int
    is_more: bool
    number: int
    pages: int
    start: int
    query: str
    fields: Sequence[BoundField]
    hidden: Sequence[tuple[str, str]]
    column_hidden: Sequence[tuple[str, str]]
    path: str
    address: str
    first_url: str
    previous_url: str
    next_url: str
    csv_url: str
    clear_url: str

    @property
    def end(self) -> int:
        """Return the number of the page's last row."""
        return self.start + len(self.lines) - 1

    @property
    def fields_in_line(self) -> list[BoundField]:
        """Return the filters beside the search, those that no one sees among them."""
        return [bound for bound in self.fields if bound not in self.fields_in_menu]

    @property
    def fields_in_menu(self) -> list[BoundField]:
        """Return the other filters."""
        seen = [bound for bound in self.fields if not bound.is_hidden]
        return seen[self.table.filters_in_line :]

    @property
    def noun(self) -> str:
        """Return what is counted: "1 request", "2 requests"."""
        return self.table.noun[self.count != 1]

    @property
    def is_filtered(self) -> bool:
        """Return whether a search or a filter holds rows back."""
        return bool(self.chips)

    @property
    def empty(self) -> Empty:
        """Return what stands there without rows."""
        if not self.is_filtered:
            return self.table.empty
        return Empty(
            f"No {self.table.noun[0]} fits these filters",
            "Change the words, or remove a filter.",
            f"Show all {self.table.noun[1]}",
            self.clear_url,
            "search",
        )
