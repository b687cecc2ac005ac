"""What a door does with an order that the rows may not allow: a page carries it out and tells how
it went; the API finds it by the word at the end of its address.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar

from django.contrib import messages
from django.http import Http404, HttpRequest

from apps.common.errors import DomainError
from apps.common.reasons import ReasonForm, reason_of

Made = TypeVar("Made")


def carry_out(request: HttpRequest, order: Callable[[], Made], done: str) -> Made | None:
    """Return what `order` makes, and leave `done` as a message for the next page.

    Where the rows do not allow it (DomainError), leave its words instead and return None.
    """
    try:
        made = order()
    except DomainError as error:
        messages.error(request, str(error))
        return None
    messages.success(request, done)
    return made


def carry_out_with_reason(
    request: HttpRequest, order: Callable[..., object], done: str
) -> ReasonForm | None:
    """Carry out an order that takes the `reason` that the person wrote, and tell how it went.

    Returns None, or the form for the page to show again where the reason cannot be taken: then
    nothing was ordered.
    """
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return form
    carry_out(request, partial(order, reason=form.cleaned_data["reason"]), done)
    return None


def carry_out_word(
    word: str,
    *,
    decisions: Mapping[str, Callable[..., object]],
    orders: Mapping[str, Callable[..., object]],
    who: object,
    body: object,
    now: datetime,
    **row: object,
) -> None:
    """Carry out what the API was asked for by a word: a decision, with the reason in the body, or
    another order, which needs none.

    decisions: take the row, approver, reason and now; orders: the row, actor and now. row: the row
    by the name that they take it by. Raises Http404 for any other word, ValidationError without a
    reason, and what the actions raise.
    """
    if decide := decisions.get(word):
        decide(**row, approver=who, reason=reason_of(body), now=now)
    elif order := orders.get(word):
        order(**row, actor=who, now=now)
    else:
        raise Http404
