"""A list of the API: which rows it answers, page by page, and what it refuses."""

import pytest

from tests.common.test_filters import (  # noqa: F401 (the events are there for every test)
    LATER,
    Pages,
    actors,
    ask,
    events,
    listing,
)

pytestmark = pytest.mark.django_db


class TestListing:
    def test_answers_what_the_caller_may_see_and_the_filters_leave(self):
        assert actors() == ["liam", "maya", "maya"]
        assert actors(actor="maya", since=LATER.isoformat()) == ["maya"]
        assert actors(actor="hidden") == []

    def test_refuses_a_filter_that_there_is_not_and_names_it(self):
        answer = ask(actr="maya", actor="liam", cursor="")
        assert (answer.status_code, answer.data["errors"]) == (
            400,
            {"actr": ["This list has no such filter."]},
        )

    def test_goes_on_to_the_next_page_under_the_same_filter(self, monkeypatch):
        monkeypatch.setattr(Pages, "page_size", 1)
        first = ask(actor="maya")
        cursor = first.data["next"].partition("cursor=")[2].partition("&")[0].replace("%3D", "=")
        second = ask(actor="maya", cursor=cursor)
        assert [row["actor"] for row in second.data["results"]] == ["maya"]
        assert (first.data["previous"], second.data["next"]) == (None, None)

    def test_tells_the_serializer_about_the_page(self):
        class Counted(listing()):
            def context_of(self, page):
                return {"actors": len({event.actor for event in page})}

        assert {row["of"] for row in ask(Counted).data["results"]} == {2}
        assert {row["of"] for row in ask(Counted, actor="maya").data["results"]} == {1}
        assert {row["of"] for row in ask().data["results"]} == {0}
