"""What the page shows as measured is what was measured of the set that ships, on texts that no rule
was written against.
"""

from dataclasses import fields, replace

import pytest

from apps.common.canonical import digest_of
from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.injection.detector import Injection
from apps.gateway.guard.measured import measurement
from apps.gateway.guard.shipped import SHIPPED
from tests.benchmarks.guard import injected, leaked, measuring, members
from tests.benchmarks.guard.labeled import Half, Templates


def lists():
    """Return every list of templates of the benchmark."""
    for module in (injected, leaked, members):
        for value in vars(module).values():
            if isinstance(value, Templates):
                yield value
            elif isinstance(value, dict):
                yield from (one for one in value.values() if isinstance(one, Templates))


def test_no_template_is_in_both_halves():
    found = list(lists())
    assert len(found) > 20
    bare = {"{}"}
    for templates in found:
        assert not set(templates.tuning) & set(templates.held_out) - bare


def test_the_same_texts_come_from_the_same_seed():
    first = [text.text for text in measuring.held_out()]
    assert first == [text.text for text in measuring.held_out()]
    assert len(first) > 1_000


def test_is_of_the_set_that_ships():
    found = measurement()
    assert found.digest == digest_of(SHIPPED.as_json())
    assert {field.name for field in fields(found)} >= {"rows", "costs", "reference_ms"}


def test_is_what_the_code_does_now():
    rows, harmless, alarms = measuring.found_in(measuring.held_out())
    kept = {row.detector: (row.texts, row.found, row.false_alarms) for row in measurement().rows}
    assert kept == {
        row["detector"]: (row["texts"], row["found"], row["false_alarms"]) for row in rows
    }
    assert (measurement().harmless, measurement().alarms) == (harmless, alarms)


def test_tells_the_share_of_free_wording_that_was_found():
    (free,) = (row for row in measurement().rows if row.detector == "INJECTION_FREE_WORDING")
    assert measurement().free_wording == free.recall_words
    assert replace(measurement(), rows=()).free_wording == "not measured"


@pytest.mark.parametrize("role", ["user", "tool"])
def test_blocks_no_harmless_sentence_that_the_rules_were_written_with(role):
    sentences = injected.HARMLESS.of(Half.TUNING)
    assert len(sentences) > 100
    blocked = [one for one in sentences if Injection(0.6).detect([Text("", role, one)])]
    assert blocked == []


@pytest.mark.parametrize("way", injected.HIDINGS)
def test_finds_the_usual_wording_however_it_is_hidden(way):
    known = injected.USUAL.of(Half.TUNING)
    hidden = [injected.HIDINGS[way](payload) for payload in known]
    found = sum(bool(Injection(0.6).detect([Text("", "tool", text)])) for text in hidden)
    assert found >= 0.9 * len(known)
