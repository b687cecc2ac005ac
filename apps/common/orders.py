"""What a page does with an order that the rows may not allow: carry it out, and tell how it
went.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from django.contrib import messages
from django.http import HttpRequest

from apps.common.errors import DomainError
from apps.common.reasons import ReasonForm

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
