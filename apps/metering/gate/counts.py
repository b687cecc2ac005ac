"""What the gateway's gate counted of a call, as the access log tells it (`gate.*`), and whose
figures count where the log has the answer's own as well. Pure.

The gate looks at every piece of an answer that passes, so it knows what was made of a call that was
cut off, which the answer's usage, told at its end, never says. Of a whole answer both tell the same
figures, and those of the log count, as they did before there was a gate: the limits of tokens per
minute go by them too. Of an answer that was cut, the gate's count: what the log has then is at most
what the gate itself told the caller, or the last piece's.
"""

from dataclasses import dataclass

from django.db.models import TextChoices


class Basis(TextChoices):
    """What the figures of a call rest on. "" in a record: no gate told, as before there was one."""

    USAGE = "USAGE", "The engine's own figures"
    COUNTED = "COUNTED", "Counted up to where it was cut"
    ESTIMATED = "ESTIMATED", "Estimated from what passed"
    NOTHING = "NOTHING", "Nothing was generated"


OWN = (Basis.COUNTED, Basis.ESTIMATED)  # figures that no answer's usage tells


@dataclass(frozen=True)
class Tokens:
    """Input, cached and output tokens. None: not told, which is not 0."""

    input: int | None
    cached: int | None
    output: int | None

    @property
    def is_whole(self) -> bool:
        """Tell whether input and output are known."""
        return self.input is not None and self.output is not None


NO_TOKENS = Tokens(None, None, None)


@dataclass(frozen=True)
class GateCount:
    """What the gate counted of a call. completeness: of metering.Completeness, "" where it is not
    told.
    """

    basis: Basis
    completeness: str
    tokens: Tokens


@dataclass(frozen=True)
class Judged:
    """What counts of a call: its tokens, and what they rest on. other: what the gate says of the
    same whole answer, where it says something else.
    """

    tokens: Tokens
    basis: str
    other: Tokens | None = None

    @property
    def is_estimate(self) -> bool:
        """Tell whether the tokens are what the gate made of what passed."""
        return self.basis == Basis.ESTIMATED

    @property
    def columns(self) -> dict[str, int | None]:
        """Return the tokens as the columns of an event. An estimate has columns of its own, so that
        no sum of what was metered has it.
        """
        metered = NO_TOKENS if self.is_estimate else self.tokens
        estimated = self.tokens if self.is_estimate else NO_TOKENS
        return {
            "input_tokens": metered.input,
            "cached_input_tokens": metered.cached,
            "output_tokens": metered.output,
            "estimated_input_tokens": estimated.input,
            "estimated_output_tokens": estimated.output,
        }


def judged(logged: Tokens | None, gate: GateCount | None) -> Judged:
    """Return what counts. logged: the usage that the answer told, as the log has it; None where it
    has none.
    """
    if gate is None:
        return Judged(logged or NO_TOKENS, "")
    if gate.basis == Basis.COUNTED and not gate.tokens.is_whole:
        return Judged(gate.tokens, Basis.ESTIMATED.value)
    if gate.basis in OWN:
        return Judged(gate.tokens, gate.basis.value)
    if logged is None:
        told = gate.tokens if gate.basis == Basis.USAGE else NO_TOKENS
        return Judged(told, gate.basis.value)
    differs = gate.basis == Basis.USAGE and not _same(logged, gate.tokens)
    return Judged(logged, Basis.USAGE.value, gate.tokens if differs else None)


def _same(logged: Tokens, gate: Tokens) -> bool:
    """Tell whether both say the same. The log has 0 where nobody told the cached tokens."""
    told = Tokens(gate.input, gate.cached or 0, gate.output)
    return Tokens(logged.input, logged.cached or 0, logged.output) == told


def basis_of(text: object) -> Basis | None:
    """Return the basis that a record names; None for none, and for one that nobody knows."""
    return Basis(text) if text in Basis.values else None
