"""What the cluster says, in people's words."""

import pytest

from apps.fleet import words


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("ip-10-0-3-17.us-east-1.compute.internal", "ip-10-0-3-17"),
        ("node-1", "node-1"),
        ("gpu-inference-7x2kq-4027718364-abcdefgh", "gpu-inference…8364-abcdefgh"),
        ("n" * words.LONGEST_NAME, "n" * words.LONGEST_NAME),
    ],
)
def test_a_node_is_named_without_domain_and_middle(name, short):
    assert words.short_name(name) == short
    assert len(short) <= words.LONGEST_NAME


@pytest.mark.parametrize(
    ("kind", "basis", "said"),
    [
        ("on-demand", "on-demand-list", "On demand, list price"),
        ("spot", "simulated-spot", "Spot, simulated price"),
        ("reserved", "", "Reserved"),
        ("", "", ""),
        ("odd-kind", "odd-basis", "odd-kind, odd-basis"),  # what nobody foresaw is not hidden
    ],
)
def test_a_machine_is_named_with_whose_price_it_has(kind, basis, said):
    assert words.machine(kind, basis) == said
