"""The API of notices: one's own, read and marked as read."""

from uuid import UUID

from django.conf import settings
from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.requests import caller
from apps.common.listing import Listing
from apps.common.openapi import operation
from apps.common.pagination import NewestTold
from apps.notices import actions
from apps.notices.filters import NoticeQuery
from apps.notices.models import Notice

TAG = "Notices"


class NoticeOutput(serializers.ModelSerializer[Notice]):
    """One notice. url: the page that it is about, behind the sign-in."""

    url = serializers.SerializerMethodField()

    def get_url(self, notice: Notice) -> str:
        """Return the page's whole address."""
        return f"{settings.PORTAL_URL}{notice.path}"

    class Meta:
        model = Notice
        fields = ("id", "kind", "title", "url", "is_urgent", "told_at", "read_at")


class Notices(Listing):
    """List what the caller was told."""

    queryset = Notice.objects.all()
    serializer_class = NoticeOutput
    pagination_class = NewestTold
    filterset_class = NoticeQuery

    @operation(
        "notices_list",
        TAG,
        "List what you were told",
        answers=NoticeOutput(many=True),
        refuses=(400,),
    )
    def get(self, request: Request) -> Response:
        """Answer the caller's notices."""
        return self.listed(Notice.objects.of(caller(request)))


@operation("notice_read", TAG, "Mark a notice as read", answers=NoticeOutput, refuses=(404,))
@api_view(["POST"])
def read(request: Request, pk: UUID) -> Response:
    """Mark one of the caller's notices as read; once it is, nothing changes."""
    notice = get_object_or_404(Notice.objects.of(caller(request)), pk=pk)
    actions.mark_read(Notice.objects.filter(pk=pk), reader=caller(request), now=now())
    notice.refresh_from_db()
    return Response(NoticeOutput(notice).data)
