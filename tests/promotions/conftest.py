"""A real Git repository, a cluster that applies what it holds, and a rollout that was just
approved.
"""

import subprocess

import pytest

from apps.integrations.git.client import GitClient
from tests.promotions.doubles import Cluster, approved


@pytest.fixture
def remote(tmp_path):
    path = tmp_path / "gitops.git"
    subprocess.run(["git", "init", "--bare", "--quiet", "-b", "main", str(path)], check=True)
    return path


@pytest.fixture
def git(remote, tmp_path):
    return GitClient(remote=f"file://{remote}", branch="main", workdir=tmp_path / "work")


@pytest.fixture
def cluster(git):
    return Cluster(git)


@pytest.fixture
def rollout(registered_model, alice, carol):
    return approved(registered_model, 1, alice, carol)
