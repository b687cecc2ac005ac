"""How fresh a sign-in must be for a decision, and what is said where it is not."""

import pytest

from apps.common.sign_ins import (
    JUST_NOW,
    FreshSignInNeeded,
    Lack,
    SignIn,
    require_fresh_sign_in,
    span,
)


class Person:
    """Somebody with a sign-in, or none."""

    def __init__(self, sign_in):
        self.sign_in = sign_in


class TestSignIn:
    @pytest.mark.parametrize(
        ("sign_in", "lack"),
        [
            (SignIn(0, 900), None),
            (SignIn(900, 900), None),
            (SignIn(901, 900), Lack.FRESHNESS),
            (SignIn(None, 900), Lack.TIME),
            (SignIn(-90, 900), None),
            (SignIn(-91, 900), Lack.TIME),
            (SignIn(5, 900, "pwd", ("mfa", "phr")), Lack.OTHER_METHOD),
            (SignIn(5, 900, "phr", ("mfa", "phr")), None),
            (SignIn(5, 900, "", ("mfa", "phr")), Lack.METHOD),
            (SignIn(901, 900, "mfa", ("mfa",)), Lack.FRESHNESS),
        ],
    )
    def test_lacks_what_decisions_ask_for_and_it_has_not(self, sign_in, lack):
        assert sign_in.lack == lack
        assert bool(sign_in.words) == bool(lack)

    def test_says_what_it_lacks(self):
        assert SignIn(2520, 900).words == (
            "You signed in 42 minutes ago, and a decision needs a sign-in of the last 15 minutes."
        )
        assert SignIn(None, 30).words == (
            "Nothing says when you signed in, and a decision needs a sign-in of the last 30 "
            "seconds."
        )
        assert SignIn(1, 30, "pwd", ("mfa", "phr")).words == (
            "You signed in by pwd, and a decision needs mfa or phr."
        )
        assert SignIn(1, 30, "", ("mfa",)).words == (
            "Nothing says how you signed in, and a decision needs mfa."
        )


class TestRequireFreshSignIn:
    def test_lets_pass_who_has_just_signed_in(self):
        require_fresh_sign_in(Person(JUST_NOW))

    def test_refuses_whom_nobody_let_in(self):
        with pytest.raises(FreshSignInNeeded, match="Only a person who has just signed in"):
            require_fresh_sign_in(Person(None))

    def test_refuses_a_stale_one_and_says_why(self):
        stale = SignIn(901, 900)
        with pytest.raises(FreshSignInNeeded, match="You signed in 15 minutes ago") as refused:
            require_fresh_sign_in(Person(stale))
        assert (refused.value.sign_in, refused.value.code) == (stale, "fresh_sign_in_needed")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (59, "59 seconds"), (60, "1 minute"), (119, "1 minute"),
     (7199, "119 minutes"), (7200, "2 hours"), (10800, "3 hours")],
)  # fmt: skip
def test_a_span_is_never_rounded_up(seconds, words):
    assert span(seconds) == words
