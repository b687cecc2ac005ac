"""Pages of the API, by cursor."""

from base64 import b64encode
from urllib.parse import quote

import pytest
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.audit.models import AuditEvent
from apps.common.pagination import MADE_UP, Cursor
from tests.factories import NOW


@pytest.mark.django_db
class TestCursor:
    def page(self, cursor="", order=("-occurred_at", "-id")):
        class Pages(Cursor):
            ordering = order

        wsgi = APIRequestFactory().get("/", {"cursor": cursor} if cursor else {})
        pages = Pages()
        return pages, pages.paginate_queryset(AuditEvent.objects.all(), Request(wsgi))

    def test_has_50_on_a_page_and_leads_to_the_next(self):
        facts = {"occurred_at": NOW, "recorded_at": NOW, "action": "a", "target_id": "1"}
        AuditEvent.objects.bulk_create(AuditEvent(actor=f"u{n}", **facts) for n in range(51))
        pages, first = self.page()
        assert len(first) == 50
        cursor = pages.get_next_link().partition("cursor=")[2].replace("%3D", "=")
        assert len(self.page(cursor)[1]) == 1

    @pytest.mark.parametrize(
        ("position", "order"),
        [
            ("yesterday", ("-occurred_at", "-id")),
            ("\x00", ("-occurred_at", "-id")),
            ("\x00", ("actor", "id")),  # which the database would take for text
            ("a\x00b", ("actor", "id")),
        ],
    )
    def test_that_was_made_up_leads_nowhere(self, position, order):
        made_up = b64encode(f"p={quote(position)}".encode()).decode()
        with pytest.raises(NotFound, match=MADE_UP):
            self.page(made_up, order)

    def test_is_described_as_it_is_answered(self):
        pages, _ = self.page()
        described = pages.get_paginated_response_schema({"type": "array"})
        properties = described["properties"]
        assert described["type"] == "object"
        answered = pages.get_paginated_response([]).data
        assert set(properties) == set(described["required"]) == set(answered)
        assert properties["results"] == {"type": "array"}
        for link in (properties["next"], properties["previous"]):
            assert link == {"type": ["string", "null"], "format": "uri"}
