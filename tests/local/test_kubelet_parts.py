from pathlib import Path

import pytest

from deploy.local.kubelet import parts
from deploy.local.stack.part import NotReady
from tests.local.cluster_context import cluster_context


class TestParts:
    def test_reads_models_with_a_key_that_cannot_write(self, tmp_path: Path) -> None:
        (part,) = parts.parts(cluster_context(tmp_path))
        assert part.name == "kubelet"
        assert {"kube-apiserver", "kwok", "versitygw"} <= set(part.needs)
        assert part.env["AWS_ACCESS_KEY_ID"] == "qmkubelet"


class TestCheck:
    def test_says_that_nobody_listens(self) -> None:
        with pytest.raises(NotReady, match="does not listen yet"):
            parts.check(9)
