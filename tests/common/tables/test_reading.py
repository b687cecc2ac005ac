"""Tables: what an address asks for, what it gets, and what it is told where it cannot have it."""

import csv
import io
from dataclasses import dataclass, replace
from decimal import Decimal
from urllib.parse import parse_qs

import django_filters
import pytest
from django import forms
from django.template.loader import render_to_string
from django.test import RequestFactory

from apps.catalog.models import RegisteredModel
from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table, look_up
from apps.common.tables.reading import Asked, csv_of, read, respond
from apps.common.tables.reading import _found as found_rows
from tests.factories import RegisteredModelFactory, TeamFactory
from tests.pages import joined


@dataclass(frozen=True)
class Node:
    name: str
    zone: str
    gpus: int
    usd_per_hour: Decimal | None

    @property
    def state(self) -> Badge:
        return Badge("ok", "", "Ready")


@dataclass(frozen=True)
class Sized(Node):
    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(size for size in (1, 4) if size <= self.gpus)


NODES = [
    Node("bravo", "a", 2, Decimal("1.10")),
    Node("alpha", "b", 8, None),
    Node("=delta", "b", 4, Decimal("3.45")),
]


class NodeFilters(django_filters.FilterSet):
    zone = django_filters.ChoiceFilter(label="Zone", choices=[("a", "Zone A"), ("b", "Zone B")])


TABLE = Table(
    name="nodes",
    noun=("node", "nodes"),
    columns=(
        Column("name", "Node", sort="name", place="name"),
        Column("zone", "Zone", optional=True),
        Column("gpus", "GPUs", kind="figure", sort="gpus", total="gpus"),
        Column(
            "price",
            "Price",
            "usd_per_hour",
            kind="money",
            unit="an hour",
            sort="usd_per_hour",
            total="usd_per_hour",
            unknown="no price",
        ),
        Column("state", "State", kind="badge", optional=True, at_first=False),
    ),
    search=("name", "zone"),
    filters=NodeFilters,
    order="name",
    page_size=2,
    empty=Empty("No nodes yet"),
)


def ask(query: str = "", table: Table = TABLE, rows=NODES):
    return read(table, RequestFactory().get(f"/nodes/?{query}"), rows)


def asked(address: str, sample=None):
    request = RequestFactory().get(f"/nodes/{address}")
    request.sample = sample
    return request


def names(page) -> list[str]:
    return [line.cells[0].value for line in page.lines]


def file(query: str = "", table: Table = TABLE, rows=NODES, sample=None) -> list[list[str]]:
    answer = csv_of(table, asked(f"?{query}", sample), rows)
    text = b"".join(answer.streaming_content).decode()
    return list(csv.reader(io.StringIO(text)))


class TestLookUp:
    def test_follows_dots_calls_methods_and_stops_at_none(self):
        assert look_up(NODES[0], "name.upper") == "BRAVO"
        assert look_up(NODES[1], "usd_per_hour.real") is None
        assert look_up(NODES[0], lambda node: node.gpus * 2) == 4


class TestSort:
    def test_sorts_as_the_table_says_at_first(self):
        assert names(ask()) == ["=delta", "alpha"]
        assert [head.direction for head in ask().heads] == ["ascending", "", "", ""]

    def test_sorts_as_the_address_says_with_the_unknown_last_both_ways(self):
        assert names(ask("sort=price")) == ["bravo", "=delta"]
        assert names(ask("sort=-price")) == ["=delta", "bravo"]
        assert names(ask("sort=-price&page=2")) == ["alpha"]

    def test_a_head_turns_the_order_around_and_figures_fall_first(self):
        heads = {head.column.key: head for head in ask("q=a&page=2&sort=name").heads}
        assert parse_qs(heads["name"].url[1:]) == {"q": ["a"], "sort": ["-name"]}
        assert parse_qs(heads["gpus"].url[1:])["sort"] == ["-gpus"]
        assert heads["zone"].url == ""

    @pytest.mark.parametrize("sort", ["zone", "nothing", "-", "--name", "name;drop"])
    def test_says_what_cannot_be_sorted_by(self, sort):
        page = ask(f"sort={sort.replace(';', '%3B')}")
        assert names(page) == ["=delta", "alpha"]
        assert page.notes == [f"These rows cannot be sorted by “{sort}”."]

    def test_a_table_without_an_order_is_a_mistake_of_ours(self):
        with pytest.raises(ValueError, match="no column sorts"):
            ask(table=Table("x", ("x", "xs"), (Column("name", "Name"),), order="name"))


class TestSearchAndFilters:
    def test_finds_words_in_each_named_field(self):
        assert names(ask("q=LPH")) == ["alpha"]
        assert names(ask("q=b&sort=name")) == ["=delta", "alpha"]
        assert ask("q=b").count == 3

    def test_narrows_by_a_filter_and_names_it_in_a_chip(self):
        page = ask("zone=b&q=alp&page=1&other=1")
        assert names(page) == ["alpha"]
        assert [(chip.words, parse_qs(chip.url[1:])) for chip in page.chips] == [
            ("“alp”", {"zone": ["b"], "other": ["1"]}),
            ("Zone: Zone B", {"q": ["alp"], "other": ["1"]}),
        ]
        assert parse_qs(page.clear_url[1:]) == {"other": ["1"]}

    def test_leaves_a_value_out_that_the_filter_does_not_know(self):
        page = ask("zone=moon")
        assert (page.count, page.chips) == (3, [])
        assert page.notes == ["“moon” is not a value of the filter Zone."]

    def test_says_that_nothing_fits_or_that_nothing_is_there(self):
        assert ask("q=zulu").empty.title == "No node fits these filters"
        assert ask(rows=[]).empty.title == "No nodes yet"


class TestColumns:
    def test_shows_those_of_the_beginning_and_those_that_are_asked_for(self):
        keys = lambda query: [head.column.key for head in ask(query).heads]  # noqa: E731
        assert keys("") == ["name", "zone", "gpus", "price"]
        assert keys("columns=state") == ["name", "gpus", "price", "state"]
        assert keys("columns=zone,state") == ["name", "zone", "gpus", "price", "state"]
        assert keys("columns=&columns=zone") == ["name", "zone", "gpus", "price"]
        assert keys("columns=") == ["name", "gpus", "price"]

    def test_says_which_there_are_not(self):
        assert ask("columns=zone,salary,x").notes == ["There is no column “salary”, “x”."]


class TestPages:
    def test_cuts_and_leads_to_the_others(self):
        page = ask("page=2&q=a")
        assert (page.number, page.pages, page.start, page.end, page.count) == (2, 2, 3, 3, 3)
        assert (parse_qs(page.previous_url[1:])["page"], page.next_url) == (["1"], "")
        assert "page" not in parse_qs(page.csv_url[1:])

    @pytest.mark.parametrize(
        ("given", "number"), [("0", 1), ("99", 2), ("x", 1), ("-1", 1), ("²", 1), ("9" * 99, 1)]
    )
    def test_says_where_there_is_no_such_page(self, given, number):
        page = ask(f"page={given}")
        assert page.number == number
        assert page.notes == [f"There is no page “{given[:40]}”: there are 2."]


class TestTotal:
    def test_sums_all_pages_and_says_how_many_are_unknown(self):
        gpus, price = ask().sums[2:]
        assert (gpus.value, gpus.unknown) == (14, 0)
        assert (price.value, price.unknown) == (Decimal("4.55"), 1)

    def test_sums_what_the_filters_leave(self):
        assert ask("zone=a").sums[2].value == 2


class TestCsv:
    def test_gives_all_pages_of_what_is_shown_and_no_formula(self):
        assert file("zone=b&columns=state&sort=-gpus&page=2") == [
            ["Node", "GPUs", "Price (an hour)", "State"],
            ["alpha", "8", "", "Ready"],
            ["'=delta", "4", "3.45", "Ready"],
        ]

    def test_comes_by_the_address_that_the_foot_names(self):
        request = asked(ask("q=b").csv_url)
        answer = respond(TABLE, request, NODES, "home.html")
        assert answer["Content-Disposition"].startswith('attachment; filename="nodes-')

    def test_says_so_where_it_is_of_a_sample(self):
        plain, marked = file(), file(sample=object())
        assert [row[:-1] for row in marked] == plain
        assert [row[-1] for row in marked] == ["sample", *["Sample"] * (len(plain) - 1)]


class TestFilters:
    """A list is narrowed by the attributes that its filters name."""

    @pytest.fixture
    def table(self):
        class Several(django_filters.FilterSet):
            place = django_filters.ChoiceFilter(
                field_name="zone", label="Place", choices=[("a", "A"), ("b", "B")]
            )
            size = django_filters.ChoiceFilter(
                field_name="sizes", label="Size", choices=[("1", "1 up"), ("4", "4 up")]
            )
            kind = django_filters.CharFilter(
                field_name="name", label="Kind", widget=forms.HiddenInput
            )

        return replace(TABLE, filters=Several, page_size=9, filters_in_line=1)

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("place=a", ["bravo"]),
            ("size=4", ["=delta", "alpha"]),
            ("size=1", ["=delta", "alpha", "bravo"]),
            ("size=4&place=b&kind=alpha", ["alpha"]),
            ("size=4&place=a", []),
        ],
    )
    def test_of_one_value_or_of_several(self, table, query, found):
        rows = [Sized(node.name, node.zone, node.gpus, node.usd_per_hour) for node in NODES]
        assert names(ask(query, table, rows)) == found

    def test_stand_beside_the_search_or_in_the_menu(self, table):
        page = ask("", table)
        assert [bound.name for bound in page.fields_in_line] == ["place", "kind"]
        assert [bound.name for bound in page.fields_in_menu] == ["size"]
        html = joined(render_to_string("components/_table.html", {"table": page}))
        menu = html.split("More filters")[1].split("</details>")[0]
        assert 'name="size"' in menu and 'name="place"' not in menu
        assert "More filters" not in render_to_string("components/_table.html", {"table": ask()})


class TestFacts:
    """What is asked once for many rows."""

    @pytest.fixture
    def asked(self):
        return []

    @pytest.fixture
    def table(self, asked):
        def priced(nodes):
            asked.append([node.name for node in nodes])
            return [replace(node, usd_per_hour=Decimal(len(nodes))) for node in nodes]

        return replace(TABLE, with_facts=priced)

    def test_are_asked_once_for_the_rows_of_the_page(self, table, asked):
        page = ask("columns=", table)
        assert [[cell.value for cell in line.cells] for line in page.lines] == [
            ["=delta", 4, Decimal(2)],
            ["alpha", 8, Decimal(2)],
        ]
        assert [line.row.usd_per_hour for line in ask("page=2", table).lines] == [Decimal(1)]
        assert asked == [["=delta", "alpha"], ["bravo"]]

    def test_are_not_asked_where_there_is_no_row(self, table, asked):
        assert ask("q=zulu", table).lines == []
        assert asked == []

    def test_are_asked_once_for_each_chunk_of_the_file(self, table, asked, monkeypatch):
        monkeypatch.setattr("apps.common.tables.reading.CHUNK", 2)
        assert [row[:1] + row[3:] for row in file(table=table)[1:]] == [
            ["'=delta", "2"],
            ["alpha", "2"],
            ["bravo", "1"],
        ]
        assert asked == [["=delta", "alpha"], ["bravo"]]


class TestSeveral:
    def test_each_reads_its_own_parameters_and_keeps_the_other_ones(self):
        idle = Table(
            "idle",
            ("node", "nodes"),
            TABLE.columns,
            order="name",
            search=("name",),
            filters=NodeFilters,
            page_size=1,
            prefix="idle",
        )
        query = "q=alpha&sort=-name&idle-q=a&idle-zone=b&idle-page=2"
        assert names(ask(query)) == ["alpha"]
        page = ask(query, idle)
        assert (names(page), page.count) == (["alpha"], 2)
        assert parse_qs(page.previous_url[1:])["q"] == ["alpha"]
        assert [name for name, _ in page.hidden] == ["q", "sort"]


@pytest.fixture
def models(db):
    team = TeamFactory(slug="codes")
    return [
        RegisteredModelFactory(name="beta", owner_team=team, title="100 % of codes"),
        RegisteredModelFactory(name="alpha", owner_team=team, title="Notes"),
        RegisteredModelFactory(name="gamma", title="Letters"),
    ]


MODELS = Table(
    name="models",
    noun=("model", "models"),
    columns=(
        Column("name", "Model", sort="name", place="name"),
        Column("team", "Team", "owner_team.slug", sort=("owner_team__slug", "-name")),
    ),
    search=("name", "title"),
    order="-name",
    page_size=2,
)


SUMMED = replace(
    MODELS,
    columns=(
        *MODELS.columns,
        Column("size", "Size", "parameter_count", kind="figure", total="parameter_count"),
    ),
)


@pytest.mark.usefixtures("models")
class TestMost:
    def test_leaves_a_table_alone_that_has_no_more_rows(self):
        page = ask(table=replace(SUMMED, most=3), rows=RegisteredModel.objects.all())
        assert (page.count, page.is_more, page.pages, len(page.sums)) == (3, False, 2, 3)

    def test_tells_that_there_are_more_and_reads_no_sums(self, django_assert_num_queries):
        with django_assert_num_queries(2):
            rows = RegisteredModel.objects.select_related("owner_team")
            page = ask(table=replace(SUMMED, most=2), rows=rows)
        assert (page.count, page.is_more, page.pages, page.sums) == (2, True, 1, [])
        assert names(page) == ["gamma", "beta"]
        html = joined(render_to_string("components/_table.html", {"table": page}))
        assert "more than 2 models" in html
        assert "CSV of all models" in html

    def test_counts_every_row_of_a_list(self):
        page = ask(table=replace(TABLE, most=2), rows=NODES)
        assert (page.count, page.is_more) == (3, False)


class TestOrder:
    @pytest.mark.parametrize(
        ("key", "written"),
        [
            ("name", '"name" DESC,'),
            ("by", '"created_by_id" DESC NULLS LAST'),
            ("team", '"slug" DESC NULLS LAST'),
        ],
    )
    def test_says_where_what_is_missing_stands_only_where_it_can_be(self, key, written):
        table = replace(
            MODELS,
            columns=(
                Column("name", "Model", sort="name"),
                Column("by", "By", sort="created_by"),
                Column("team", "Team", sort="owner_team__slug"),
            ),
            order=f"-{key}",
        )
        page = Asked(table, RequestFactory().get("/"), RegisteredModel.objects.all())
        assert written in str(found_rows(page).query)


@pytest.mark.usefixtures("models")
class TestQueryset:
    def test_counts_and_cuts_in_the_database(self, django_assert_num_queries):
        with django_assert_num_queries(2):
            page = ask(table=MODELS, rows=RegisteredModel.objects.select_related("owner_team"))
        assert (names(page), page.count) == (["gamma", "beta"], 3)

    def test_sorts_by_several_fields_each_its_way(self):
        rows = RegisteredModel.objects.filter(owner_team__slug="codes")
        assert names(ask("sort=team", MODELS, rows)) == ["beta", "alpha"]
        assert names(ask("sort=-team", MODELS, rows)) == ["alpha", "beta"]

    def test_searches_words_not_patterns(self):
        assert names(ask("q=100 %25", MODELS, RegisteredModel.objects.all())) == ["beta"]
        assert ask("q=%25", MODELS, RegisteredModel.objects.all()).count == 1

    def test_streams_its_file_in_one_query(self, django_assert_num_queries):
        rows = RegisteredModel.objects.select_related("owner_team")
        with django_assert_num_queries(1):
            found = file("q=a", MODELS, rows)
        assert [row[0] for row in found] == ["Model", "gamma", "beta", "alpha"]


@pytest.mark.usefixtures("models")
class TestRespond:
    """The page around the table, the table alone, and what htmx is told."""

    @pytest.fixture
    def list_(self, client, alice):
        client.force_login(alice)
        return lambda **headers: client.get("/access/?sort=nothing", headers=headers)

    def test_is_the_page_or_the_table_alone(self, list_):
        page, alone = list_(), list_(**{"HX-Request": "true", "HX-Target": "table-requests"})
        assert "<html" in page.content.decode()
        assert alone.content.decode().lstrip().startswith('<div class="table-list"')
        assert "HX-Target" in page["Vary"]

    def test_is_the_page_for_another_part_and_for_the_way_back(self, list_):
        other = {"HX-Request": "true", "HX-Target": "results"}
        back = {
            "HX-Request": "true",
            "HX-Target": "table-requests",
            "HX-History-Restore-Request": "true",
        }
        assert "<html" in list_(**other).content.decode()
        assert "<html" in list_(**back).content.decode()

    def test_says_above_the_table_what_it_left_out(self, list_):
        assert "These rows cannot be sorted by “nothing”." in joined(list_().content)
