"""What a page does with an order that the rows may not allow: carry it out, and tell how it
went.
"""

from collections.abc import Callable
from typing import TypeVar

from django.contrib import messages
from django.http import HttpRequest

from apps.common.errors import DomainError

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
