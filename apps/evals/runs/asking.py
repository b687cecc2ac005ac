"""Asks packets of one engine or of two, several at a time, and tells how each call ended. Knows
nothing of rows: one thread, the caller's, has the database.

Both sides get a packet at the same moment, in turns which of them first, so that each figure of one
has its twin of the other under the same load; the next packet begins when both have answered one.

A call that comes to no answer ends in one of two ways. A problem is the packet's own: the engine
refused it, answered without end, cut its answer off, or sent a page. A stumble may pass: it was
away, failed (5xx) or was overloaded; the caller has it tried again.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from apps.evals.models import Side
from apps.evals.scoring.scores import Timing
from apps.integrations.engine.client import EngineClient, Message
from apps.integrations.engine.types import BadAnswer, Bounds, Delta, GatewayRefusal
from apps.integrations.errors import TemporaryError

BUSY = (408, 425, 429)  # refusals that pass
LONGEST_WORDS = 300
# what reading JSON raises that is no chat's
ODD_JSON = (AttributeError, LookupError, TypeError, ValueError, RecursionError)

REFUSED, STUMBLED = "REFUSED", "STUMBLED"
PROBLEMS = {
    REFUSED: "Refused",
    "ENDLESS": "Without end",
    "NOT_A_STREAM": "Not an answer",
    "CUT_OFF": "Cut off",
    STUMBLED: "Failed",
}


@dataclass(frozen=True)
class Call:
    """One packet to ask of one side."""

    side: Side
    packet_id: str
    messages: Sequence[Message]


@dataclass(frozen=True)
class Ended:
    """How a call ended. problem: why there is no answer, "" where there is one; has_stumbled: it
    may be tried again; is_away: the engine does not answer at all.
    """

    call: Call
    text: str = ""
    timing: Timing = Timing()
    problem: str = ""
    words: str = ""
    has_stumbled: bool = False
    is_away: bool = False


@dataclass(frozen=True)
class Asker:
    """Asks the engines. names: side → what its engine calls the model."""

    engines: Mapping[Side, EngineClient]
    names: Mapping[Side, str]
    max_tokens: int
    bounds: Bounds

    def ask(self, call: Call) -> Ended:
        """Ask one packet of one side. Never raises for what an engine does."""
        pieces: list[str] = []
        last = Delta()
        engine = self.engines[call.side]
        try:
            for delta in engine.stream_chat(
                model=self.names[call.side],
                messages=call.messages,
                max_tokens=self.max_tokens,
                bounds=self.bounds,
            ):
                pieces.append(delta.text)
                last = delta
        except GatewayRefusal as error:
            said = storable(error.message)
            words = f"The engine refused it ({error.status}): {said}"[:LONGEST_WORDS]
            if error.status in BUSY:
                return Ended(call, words=words, has_stumbled=True)
            return Ended(call, problem=REFUSED, words=words)
        except BadAnswer as error:
            return Ended(call, problem=error.code, words=str(error))
        except ODD_JSON:
            words = "It answered JSON of another shape than a chat's."
            return Ended(call, problem="NOT_A_STREAM", words=words)
        except TemporaryError as error:
            away = not engine.ready()
            return Ended(call, words=str(error), has_stumbled=True, is_away=away)
        return Ended(call, storable("".join(pieces)), _timing(last))


def storable(text: str) -> str:
    """Return a text as it can be kept: halves of one character, which came apart, are joined, and
    what no database keeps (NUL, half a surrogate) is shown as U+FFFD.
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "\ufffd")


def _timing(last: Delta) -> Timing:
    tokens = last.usage.output_tokens if last.usage else None
    return Timing(_rounded(last.ttft_ms), _rounded(last.latency_ms), tokens)


def _rounded(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


def answers(
    packets: Iterable[Sequence[Call]],
    ask: Callable[[Call], Ended],
    *,
    at_once: int,
    go_on: Callable[[], bool],
) -> Generator[list[Ended]]:
    """Yield how calls ended, as they do. packets: the calls of each packet, one or two; at most
    `at_once` packets are under way. Where go_on() is no longer true, none is begun any more.
    """
    waiting = enumerate(packets)
    under_way: dict[Future[Ended], int] = {}  # → its packet's place
    with ThreadPoolExecutor(max_workers=2 * at_once, thread_name_prefix="evals") as pool:

        def begin() -> None:
            free = at_once - len(set(under_way.values()))
            for place, calls in islice(waiting, free):
                under_way.update({pool.submit(ask, call): place for call in calls})

        begin()
        while under_way:
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                del under_way[future]
            if go_on():
                begin()  # before the caller keeps these: no engine waits for the database
            yield [future.result() for future in done]
