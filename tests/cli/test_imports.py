"""What the command line may be made of, and that it is installed."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from apps.cli.exits import WORDS, Exit

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"


def test_the_contract_names_every_app():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (mine,) = [one for one in contracts["contracts"] if one.get("source_modules") == ["apps.cli"]]
    there = {f"apps.{path.parent.name}" for path in (ROOT / "apps").glob("*/__init__.py")}
    assert there - {"apps.cli"} <= set(mine["forbidden_modules"])


def test_every_exit_code_has_its_words():
    assert set(WORDS) == set(Exit)


def test_starts_without_the_product():
    """Nothing of Django, boto3 or the apps is loaded by it."""
    script = (
        "import sys, apps.cli.commands; "
        "print([name for name in ('django', 'boto3', 'apps.catalog') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.skipif(not UV.exists(), reason="uv is not in this environment")
def test_is_installed_as_a_script(tmp_path):
    """As bootstrap.sh installs it, without a network; started from anywhere."""
    home = {"env": os.environ | {"VIRTUAL_ENV": ""}, "check": True, "capture_output": True}
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "v"], **home)
    python = tmp_path / "v" / "bin" / "python"
    options = ["--quiet", "--offline", "--no-deps", "--python", python]
    subprocess.run([UV, "pip", "install", *options, "-e", ROOT], **home)
    site = next((Path(sys.executable).parents[1] / "lib").glob("python*/site-packages"))
    shown = subprocess.run(
        [python.with_name("quartermaster"), "--help"],
        env=os.environ | {"PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Exit codes:" in shown.stdout
    script = python.with_name("quartermaster").read_text()
    assert "apps.cli.__main__" in script
