"""What a table is made of: its columns, its words, its order. Declarations only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

from django_filters import FilterSet

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

Kind = Literal["text", "figure", "money", "badge", "time", "age", "date", "mono"]
Place = Literal["", "name", "figure"]
Path = str | Callable[[Any], Any]
FIGURES: tuple[Kind, ...] = ("figure", "money")


def look_up(row: object, path: Path) -> Any:
    """Return what a path finds in a row: a function of it, or attributes joined by dots. A None on
    the way is None.
    """
    if callable(path):
        return path(row)
    step: Callable[[Any, str], Any] = lambda at, name: None if at is None else getattr(at, name)  # noqa: E731
    found = reduce(step, path.split("."), row)
    return found() if callable(found) else found


def same(rows: Sequence[Any]) -> Sequence[Any]:
    """Return rows as they are: they know all that their columns read."""
    return rows


@dataclass(frozen=True)
class Column:
    """One column.

    key: its name in the address. value: what a cell shows, the key itself if left out.
    kind: how it looks; figures stand at the right. unit: beside the label, "a month".
    sort: the fields the database sorts by ("-created_at" turns one around), or the path of a list's
    rows; None: not sortable. total: the field or path that the total row sums; None: no sum.
    sub: a second, smaller line. url: what the cell leads to. title: the whole of it, on hover.
    csv: the cell in CSV files, the value if left out; csv_head: its head there, for programs that
    read the file, its label if left out. template: a cell of one's own; it gets `row`,
    `value` and `column`.
    optional: people may take the column away; at_first: it is there before they choose.
    place: on a phone, "name" heads the row's card and "figure" stands beside it.
    unknown: the word for None.
    """

    key: str
    label: str
    value: Path = ""
    kind: Kind = "text"
    unit: str = ""
    sort: str | Sequence[str] | None = None
    total: str | None = None
    sub: Path | None = None
    url: Callable[[Any], str] | None = None
    title: Path | None = None
    csv: Path | None = None
    csv_head: str = ""
    template: str = ""
    optional: bool = False
    at_first: bool = True
    place: Place = ""
    unknown: str = "—"
    css: str = ""

    @property
    def is_figure(self) -> bool:
        """Return whether its cells stand at the right."""
        return self.kind in FIGURES

    @property
    def head(self) -> str:
        """Return its label with the unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def head_in_csv(self) -> str:
        """Return its head in CSV files."""
        return self.csv_head or self.head

    def value_of(self, row: object) -> Any:
        """Return what the cell of a row holds."""
        return look_up(row, self.value or self.key)

    def csv_of(self, row: object) -> Any:
        """Return the cell of a row as CSV files hold it; a badge is its words."""
        found = look_up(row, self.csv) if self.csv else self.value_of(row)
        return getattr(found, "words", found)


@dataclass(frozen=True)
class Empty:
    """What stands where no row is: what would be here, why it is not, the one thing to do."""

    title: str
    text: str = ""
    action_label: str = ""
    action_url: "str | StrPromise" = ""
    icon: str = "inbox"


@dataclass(frozen=True)
class Table:
    """A list. name: of its CSV file and its element. noun: one row and several, "node", "nodes".

    search: the fields (or paths, in a list) that the search box looks in; none: no search box. A
    field may end with "__iexact" or "__istartswith"; the others hold the words anywhere.
    filters_in_line: how many of the filters stand beside the search; a menu holds the others.
    most: rows of a query that are counted and summed; where there are more, the page says so, and
    has no sums: a table that grows without end is not read whole for its foot. 0: all of them.
    order: the key of the column that sorts at first, "-" before it for the other way around.
    prefix: of its parameters, where a page has several tables.
    ties: the fields that equal rows are ordered by; of sums, those that they are grouped by.
    with_facts: for what is asked once for many rows. It gets the rows of the shown page, or of a
    chunk of the CSV file, and returns as many in the same order; columns read what it returns.
    """

    name: str
    noun: tuple[str, str]
    columns: Sequence[Column]
    order: str
    search: Sequence[str] = ()
    search_words: str = "Search"
    filters: type[FilterSet] | None = None
    filters_in_line: int = 5
    page_size: int = 50
    most: int = 0
    empty: Empty = Empty("Nothing here yet")
    prefix: str = ""
    ties: Sequence[str] = ("pk",)
    with_facts: Callable[[Sequence[Any]], Sequence[Any]] = same

    def column(self, key: str) -> Column | None:
        """Return the column of this key."""
        return next((column for column in self.columns if column.key == key), None)

    def parameter(self, name: str) -> str:
        """Return how a parameter of this table is called in the address."""
        return f"{self.prefix}-{name}" if self.prefix else name

    @property
    def element(self) -> str:
        """Return the id of the table's element, which htmx swaps."""
        return f"table-{self.name}"
