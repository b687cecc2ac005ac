"""One JSON text for one value, whoever writes it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.common.canonical import LARGEST, canonical, digest_of, plain

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
SCALARS = SCALARS.filter(lambda value: value != math.inf and value != -math.inf)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


class TestCanonical:
    def test_is_that_of_the_rfc(self):
        # RFC 8785, section 3.2.2
        value = {
            "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
            "literals": [None, True, False],
        }
        assert canonical(value).decode() == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        )

    def test_sorts_keys_as_utf_16_does(self):
        assert canonical({"\ufb33": 1, "\U0001f600": 2, "a": 3}).decode() == (
            '{"a":3,"\U0001f600":2,"\ufb33":1}'
        )

    @pytest.mark.parametrize("value", [LARGEST + 1, math.nan, math.inf, {1: 2}, {"a": object()}])
    def test_refuses_what_has_none(self, value):
        with pytest.raises(ValueError):
            canonical(value)


class TestDigestOf:
    def test_is_that_of_the_text(self):
        # printf '{"a":1,"b":[2]}' | sha256sum
        assert digest_of({"b": [2], "a": 1}) == (
            "sha256:0855bfc20eb6cfaa4be7d6b510c63dd22997718bddadcb1a4915cec3a16145b9"
        )


class TestPlain:
    def test_turns_what_json_does_not_keep_into_text(self):
        value = {1: (2, LARGEST + 1), "b": -(10**18), "c": 1e300, "d": True, "e": 0.5}
        assert plain(value) == {
            "1": [2, "9007199254740992"], "b": "-1000000000000000000", "c": "1e+300", "d": True,
            "e": 0.5,
        }  # fmt: skip

    @given(VALUES)
    def test_has_a_text_that_another_reader_comes_to_as_well(self, value):
        try:
            text = canonical(plain(value))
        except ValueError as error:
            assert "non-UTF-8" in str(error)  # half a character, which no database takes either
            return
        assert canonical(json.loads(text)) == text
