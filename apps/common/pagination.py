"""Pages of the API, by cursor."""

from typing import Any

from django.core.exceptions import ValidationError
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

MADE_UP = "This cursor leads nowhere. Start from the first page."


class Cursor(CursorPagination):
    """Pages of 50; a subclass names the ordering. A cursor that was made up is answered with 404,
    whatever is in it.
    """

    page_size = 50

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any] | None:
        """Return one page. REST framework hands a cursor's position to the database unread."""
        cursor = self.decode_cursor(request)
        if cursor is not None and "\x00" in str(cursor.position):
            raise NotFound(MADE_UP)
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError) as error:
            raise NotFound(MADE_UP) from error

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return how a page looks, for the API's document."""
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }


class NewestRequests(Cursor):
    """Pages of what people asked for, newest first."""

    ordering = ("-requested_at", "-id")


class NewestTold(Cursor):
    """Pages of what people were told, newest first."""

    ordering = ("-told_at", "-id")


class NewestFirst(Cursor):
    """Pages of what is in force from a moment on, newest first."""

    ordering = ("-active_from", "-id")
