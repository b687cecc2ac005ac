"""Where no identity provider runs it is asked once: the pauses before another attempt would be
minutes in all.
"""

import pytest


@pytest.fixture(autouse=True)
def asked_once(monkeypatch):
    """Let the portal ask its provider once."""
    monkeypatch.setattr("apps.accounts.provider.ATTEMPTS", 1)
