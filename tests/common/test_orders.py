"""Carrying out what a person ordered, and telling how it went."""

import pytest
from django.contrib.messages import get_messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.test import RequestFactory

from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason


@pytest.fixture
def posted():
    def post(**body):
        request = RequestFactory().post("/", body)
        request._messages = CookieStorage(request)
        return request

    return post


def told(request):
    return [(message.level_tag, message.message) for message in get_messages(request)]


def refused(**_):
    raise DomainError("It has ended already.")


class TestCarryOut:
    def test_returns_what_was_made_and_says_that_it_is_done(self, posted):
        request = posted()
        assert carry_out(request, lambda: "made", "Done.") == "made"
        assert told(request) == [("ok", "Done.")]

    def test_says_why_the_rows_do_not_allow_it(self, posted):
        request = posted()
        assert carry_out(request, refused, "Done.") is None
        assert told(request) == [("bad", "It has ended already.")]


class TestCarryOutWithReason:
    def test_hands_over_the_reason_that_was_written(self, posted):
        request, reasons = posted(reason=" Fits. "), []
        found = carry_out_with_reason(request, lambda *, reason: reasons.append(reason), "Done.")
        assert (found, reasons, told(request)) == (None, ["Fits."], [("ok", "Done.")])

    def test_says_why_it_could_not_be_done(self, posted):
        request = posted(reason="Fits.")
        assert carry_out_with_reason(request, refused, "Done.") is None
        assert told(request) == [("bad", "It has ended already.")]

    def test_orders_nothing_without_a_reason(self, posted):
        request, ordered = posted(reason="no"), []
        form = carry_out_with_reason(request, ordered.append, "Done.")
        assert "reason" in form.errors
        assert (ordered, told(request)) == ([], [])
