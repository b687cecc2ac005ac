"""What is committed changes only where somebody reads the change."""

from tests.manifests import golden


def test_every_line_that_is_committed_is_the_one_that_was_read():
    assert golden.text() == golden.FILE.read_text(), (
        "what is committed has changed: run python -m tests.manifests.golden, and read the diff"
    )
