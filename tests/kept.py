"""Rows that take long to make, kept while tests that ask for the same ones follow one another.

They are made in a transaction that stays open; each test works inside a savepoint of its own, which
is rolled back after it. Before a test that did not ask for them the transaction is rolled back as
well: no other test sees a row of them.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from copy import deepcopy
from typing import Any

from django.db import transaction
from pytest_django import DjangoDbBlocker


class Keeper:
    """Makes rows and takes them away again; those of one fixture are there at most."""

    def __init__(self, blocker: DjangoDbBlocker) -> None:
        """blocker: what lets a test use the database, as pytest-django's fixture."""
        self._blocker = blocker
        self._builders: dict[str, Callable[[], Any]] = {}
        self._open = ExitStack()
        self._whose, self._made = "", None

    def keep(self, fixture: str, build: Callable[[], Any]) -> None:
        """Keep what `build` makes for the tests that ask for the fixture of this name.

        That is one of the whole session, for it comes before the transaction of the test.
        """
        self._builders[fixture] = build
        self.prepare([fixture])

    def prepare(self, fixtures: Collection[str]) -> None:
        """Have the rows there that a test with these fixtures wants, and no other ones."""
        wanted = next((name for name in fixtures if name in self._builders), "")
        if wanted != self._whose:
            self.leave()
        if wanted and not self._whose:
            with self._blocker.unblock(), ExitStack() as opened:
                opened.enter_context(transaction.atomic())
                self._made = self._builders[wanted]()
                self._whose, self._open = wanted, opened.pop_all()

    def leave(self) -> None:
        """Take the rows away, if there are any."""
        if self._whose:
            self._whose, self._made = "", None
            with self._blocker.unblock():
                transaction.set_rollback(True)
                self._open.close()

    def copy(self) -> Any:
        """Return what was made, for one test, which may change it."""
        return deepcopy(self._made)
