"""The world of the cast, kept while tests that ask for it follow one another.

It is built in a transaction that stays open; each test works inside a savepoint of its own, which
is rolled back after it. Before a test that did not ask for the world the transaction is rolled back
as well: no other test sees a row of it.
"""

from contextlib import ExitStack
from copy import deepcopy

from django.db import transaction
from pytest_django import DjangoDbBlocker

from tests.portal import cast


class KeptWorld:
    """Builds the world where it is not there, and takes it away again."""

    def __init__(self, blocker: DjangoDbBlocker) -> None:
        """blocker: what lets a test use the database, as pytest-django's fixture."""
        self._blocker = blocker
        self._open = ExitStack()
        self._world: cast.World | None = None

    def enter(self) -> None:
        """Build the world, unless it is there."""
        if self._world is None:
            with self._blocker.unblock(), ExitStack() as opened:
                opened.enter_context(transaction.atomic())
                self._world = cast.build()
                self._open = opened.pop_all()

    def leave(self) -> None:
        """Take the world away, if it is there."""
        if self._world is not None:
            self._world = None
            with self._blocker.unblock():
                transaction.set_rollback(True)
                self._open.close()

    def copy(self) -> cast.World:
        """Return people and ids for one test, which may change them."""
        return deepcopy(self._world)
