"""What stands at every door: the permission check, credentials of programs, ids, pages."""

import logging

import pytest
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.audit.models import AuditEvent
from apps.common.bearer import is_bearer
from apps.common.errors import DomainError, NotPermitted, require
from apps.common.pagination import MADE_UP, Cursor
from apps.common.request_ids import RequestIdFilter, current_request_id
from tests.factories import NOW


class TestRequire:
    def test_says_who_may(self):
        require(True, "Only owners.")
        with pytest.raises(NotPermitted, match=r"^Only owners\.$"):
            require(False, "Only owners.")
        assert (DomainError.code, NotPermitted.code) == ("conflict", "not_permitted")


class TestIsBearer:
    def test_reads_the_file_at_each_call(self, tmp_path):
        file = tmp_path / "token"
        file.write_text("first\n")
        assert is_bearer("Bearer first", str(file)) is True
        for header in ("", "first", "Bearer second", "Bearer first\n", "bearer first"):
            assert is_bearer(header, str(file)) is False
        file.write_text("second")
        assert is_bearer("Bearer second", str(file)) is True


class TestRequestIdFilter:
    def test_keeps_every_line_and_names_its_request(self):
        record = logging.makeLogRecord({})
        assert RequestIdFilter().filter(record) is True
        assert record.request_id == "-"
        token = current_request_id.set("abc")
        assert RequestIdFilter().filter(record) is True
        current_request_id.reset(token)
        assert record.request_id == "abc"


@pytest.mark.django_db
class TestCursor:
    def page(self, cursor=""):
        class Newest(Cursor):
            ordering = ("-occurred_at", "-id")

        wsgi = APIRequestFactory().get("/", {"cursor": cursor} if cursor else {})
        pages = Newest()
        return pages, pages.paginate_queryset(AuditEvent.objects.all(), Request(wsgi))

    def test_has_50_on_a_page_and_leads_to_the_next(self):
        AuditEvent.objects.bulk_create(
            AuditEvent(occurred_at=NOW, actor=f"u{n}", action="a", target_id="1") for n in range(51)
        )
        pages, first = self.page()
        assert len(first) == 50
        cursor = pages.get_next_link().partition("cursor=")[2].replace("%3D", "=")
        assert len(self.page(cursor)[1]) == 1

    @pytest.mark.parametrize("cursor", ["cD15ZXN0ZXJkYXk=", "cD0lMDA="])
    def test_that_was_made_up_leads_nowhere(self, cursor):
        with pytest.raises(NotFound, match=MADE_UP):
            self.page(cursor)
