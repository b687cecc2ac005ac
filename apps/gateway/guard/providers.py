"""What looks for a rule's finds: patterns in this process, a guard model, a chat guard, a
customer's analyzer. All are asked in one way, and fail by raising.

Patterns look at little text where they are, which takes less than handing it over; at much text in
one of a few threads, piece by piece, so that one long answer takes turns with all others.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from re import _parser  # type: ignore[attr-defined]  # how wide a pattern is, which re does not tell
from typing import Protocol

from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.hits import Detector, Hit, pieces, shifted
from apps.gateway.guard.detectors.own import OwnPattern, OwnPatterns
from apps.gateway.guard.detectors.recognizers import BEFORE, BEHIND, LABEL, SPACED, Recognizers
from apps.gateway.guard.window import Reach
from apps.integrations.guards.client import GuardClient
from apps.integrations.guards.dialects import Dialect

LITTLE = 4_096  # characters that are looked at on the spot: about 2 ms of identifiers
THREADS = 2
AT_ONCE = 8  # questions to a chat guard or an analyzer under way for one look
STEP = 16  # characters, about four tokens: one look for several events of a stream
PIECE, OVERLAP = 1_200, 200  # characters of a text that a guard model is shown in one go
BATCH = 32  # texts of one question to a classifier
ANALYZER_REACH = Reach(lead=200, spaced=120, solid=512, step=400)
MODEL_REACH = Reach(lead=OVERLAP, spaced=0, solid=0, step=400)


class Provider(Protocol):
    """Finds what a rule is about."""

    @property
    def reach(self) -> Reach:
        """Return how far finds stretch, for texts that are still being written."""

    @property
    def is_near(self) -> bool:
        """Tell whether it looks in this process, so that to ask it costs little."""

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell whether a find can lie in a text and end behind `new`, without looking for it."""

    def at_once(self, texts: Sequence[Text]) -> list[Hit] | None:
        """Return what stands in the texts where that takes next to no time, else None: `find` must
        be asked. Raises whatever goes wrong.
        """

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts. Raises whatever goes wrong."""


@cache
def threads() -> ThreadPoolExecutor:
    """Return the threads in which this process looks at much text."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="guard")


@dataclass(frozen=True)
class Patterns:
    """A detector of this process. is_quick: its time is known to grow with the text alone, so that
    it may look at little text without being watched.
    """

    detector: Detector
    reach: Reach
    is_quick: bool = False
    is_near: bool = True
    _found: dict[tuple[Text, ...], list[Hit]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell whether the detector must look."""
        return not isinstance(self.detector, Recognizers) or self.detector.may_hold(text, new)

    def at_once(self, texts: Sequence[Text]) -> list[Hit] | None:
        """Return what stands in little text. Rules that want other finds of the same detector ask
        one after another, so what it found is kept for a moment: until the loop turns.
        """
        if not self.is_quick or sum(len(text.text) for text in texts) > LITTLE:
            return None
        key = tuple(texts)
        if key not in self._found:
            self._keep(key, self.detector.detect(texts))
        return self._found[key]

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what stands in the texts, and keep it for as long as `at_once` does."""
        key = tuple(texts)
        if key not in self._found:
            self._keep(key, await self._look(texts))
        return self._found[key]

    def _keep(self, key: tuple[Text, ...], hits: list[Hit]) -> None:
        self._found[key] = hits
        asyncio.get_running_loop().call_soon(self._found.pop, key, None)

    async def _look(self, texts: Sequence[Text]) -> list[Hit]:
        loop = asyncio.get_running_loop()
        found: list[Hit] = []
        for text in texts:
            for offset, piece in pieces(text, self.detector.reach):
                hits = await loop.run_in_executor(threads(), self.detector.detect, [piece])
                found += shifted(hits, offset)
        return _once(found)


def patterns(detector: Detector) -> Patterns:
    """Return the provider of a detector that this project ships, with what streams hold back."""
    if isinstance(detector, Recognizers):
        reach = Reach(BEFORE + LABEL, SPACED + BEHIND, detector.reach, STEP)
    else:
        reach = Reach(detector.reach, detector.reach, detector.reach, STEP)
    return Patterns(detector, reach, is_quick=True)


def own_patterns(known: Sequence[OwnPattern]) -> Patterns:
    """Return the provider of a team's own patterns; streams hold back what the widest spans."""
    detector = OwnPatterns(known)
    widest = max((width(one.pattern) for one in known), default=0) or detector.reach
    held = min(widest + 1, detector.reach)  # and a character behind: a word must have ended
    return Patterns(detector, Reach(held, held, held, STEP), is_quick=True)


def width(pattern: str) -> int:
    """Return the most characters that a pattern can match; 0 where it has no bound, or where only
    RE2 can read it.
    """
    try:
        widest = int(_parser.parse(pattern).getwidth()[1])
    except Exception:
        return 0
    return 0 if widest >= _parser.MAXREPEAT or widest > 10_000 else widest


@dataclass(frozen=True)
class Classifier:
    """A model that gives a text one label, on vLLM. labels: those that are finds. threshold: how
    likely one must be, 0 to 1. A find is the whole piece of text that was shown.
    """

    client: GuardClient
    model: str
    labels: frozenset[str]
    threshold: float
    reach: Reach = MODEL_REACH
    is_near: bool = False

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell that only blank texts need not be shown."""
        return bool(text[new:].strip())

    def at_once(self, texts: Sequence[Text]) -> None:
        """Return None: somebody else is asked."""

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return the pieces with such a label. Many are asked about in one question."""
        shown = _shown(texts)
        found = []
        for at in range(0, len(shown), BATCH):
            batch = shown[at : at + BATCH]
            labels = await self.client.classify(
                model=self.model, texts=[piece.text for _, piece in batch]
            )
            for (offset, piece), label in zip(batch, labels, strict=True):
                score = self._score(label.label, label.probabilities)
                if score >= self.threshold:
                    found.append(_whole(piece, offset, _name(label.label, self.labels), score))
        return found

    def _score(self, label: str, probabilities: tuple[float, ...]) -> float:
        """Return how likely one of the labels is. The model names the likeliest class alone, so the
        other is known only where there are two.
        """
        most = max(probabilities)
        if label in self.labels:
            return most
        return 1 - most if len(probabilities) == 2 else 0.0


@dataclass(frozen=True)
class ChatGuard:
    """A model that is asked whether a text meets a criterion, as Granite Guardian."""

    client: GuardClient
    model: str
    dialect: Dialect
    criterion: str
    threshold: float
    reach: Reach = MODEL_REACH
    is_near: bool = False

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell that only blank texts need not be shown."""
        return bool(text[new:].strip())

    def at_once(self, texts: Sequence[Text]) -> None:
        """Return None: somebody else is asked."""

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return the pieces that meet the criterion."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(offset: int, piece: Text) -> list[Hit]:
            async with turn:
                likely = await self.client.judge(
                    model=self.model,
                    dialect=self.dialect,
                    criterion=self.criterion,
                    text=piece.text,
                    is_answer=piece.role == "assistant",
                )
            name = self.criterion.upper() if self.criterion.isidentifier() else "CRITERION"
            return [_whole(piece, offset, name, likely)] if likely >= self.threshold else []

        return await _all(one(*shown) for shown in _shown(texts))


@dataclass(frozen=True)
class Presidio:
    """A customer's analyzer. entities: none for all that it knows."""

    client: GuardClient
    language: str
    entities: tuple[str, ...]
    threshold: float
    reach: Reach = ANALYZER_REACH
    is_near: bool = False

    def may_hold(self, text: str, new: int = 0) -> bool:
        """Tell that only blank texts need not be shown."""
        return bool(text[new:].strip())

    def at_once(self, texts: Sequence[Text]) -> None:
        """Return None: somebody else is asked."""

    async def find(self, texts: Sequence[Text]) -> list[Hit]:
        """Return what the analyzer finds."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(offset: int, piece: Text) -> list[Hit]:
            async with turn:
                entities = await self.client.analyze(
                    text=piece.text,
                    language=self.language,
                    entities=self.entities,
                    threshold=self.threshold,
                )
            hits = [Hit(it.kind, piece.where, it.start, it.end, it.score) for it in entities]
            return shifted(hits, offset)

        found = await _all(
            one(*shown)
            for text in texts
            if text.text.strip()
            for shown in pieces(text, self.reach.solid, 16_000)
        )
        return _once(found)


async def _all(questions: Iterable[Coroutine[None, None, list[Hit]]]) -> list[Hit]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(question) for question in questions]
    return [hit for task in asked for hit in task.result()]


def _shown(texts: Sequence[Text]) -> list[tuple[int, Text]]:
    return [
        (offset, piece)
        for text in texts
        if text.text.strip()
        for offset, piece in pieces(text, OVERLAP, PIECE)
    ]


def _whole(piece: Text, offset: int, name: str, score: float) -> Hit:
    return Hit(name, piece.where, offset, offset + len(piece.text), score)


def _name(label: str, labels: frozenset[str]) -> str:
    return label if label in labels else min(labels)


def _once(found: Sequence[Hit]) -> list[Hit]:
    """Return finds of pieces that overlap without those that both pieces had; of the same find with
    several scores the surest, for a rule may count the sure ones alone.
    """
    surest: dict[tuple[str, int, int, str], Hit] = {}
    for hit in found:
        key = (hit.where, hit.start, hit.end, hit.detector)
        if key not in surest or hit.score > surest[key].score:
            surest[key] = hit
    return list(surest.values())
