"""The one permission check."""

import pytest

from apps.common.errors import DomainError, NotPermitted, require


class TestRequire:
    def test_says_who_may(self):
        require(True, "Only owners.")
        with pytest.raises(NotPermitted, match=r"^Only owners\.$"):
            require(False, "Only owners.")
        assert (DomainError.code, NotPermitted.code) == ("conflict", "not_permitted")
