# Recipes for people who have `just`; every one is a plain command that also works without it.

python := ".venv/bin/python"
botticelli := ".venv/bin/botticelli"

# What a newcomer types first
demo: setup
    {{botticelli}} demo

# A virtual environment with everything for work on the code
setup:
    test -x .venv/bin/botticelli || (python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]')

# The whole suite without the slow proofs
test: setup
    {{python}} -m pytest -n auto

# The parts that know time, with the clock at hours that go wrong elsewhere (needs libfaketime)
any-hour *WORDS: setup
    {{python}} -m tools.any_hour -n auto {{WORDS}}

# Kills, soak, real systemd: minutes, not seconds
proofs: setup
    {{python}} -m pytest -m slow

# The desk in a real Chromium, with axe-core
browser: setup
    cd tests/browser && npm ci --no-audit --no-fund
    {{python}} -m pytest -m browser

# 200 faults of the database during generate, curate and post (about 12 minutes)
database-faults: setup
    BOTTICELLI_FAULTS=200 {{python}} -m pytest -m slow tests/crash/test_database_faults.py

# 1,000 calls of the whole line to models that give every odd answer there is (two minutes)
model-chaos: setup
    BOTTICELLI_CHAOS=1000 {{python}} -m pytest -m slow tests/crash/test_model_chaos.py

# Style, types, floors, units
lint: setup
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/mypy
    .venv/bin/lint-imports

# Figures of docs/benchmarks.md
bench: setup
    {{python}} -m benchmarks

# Run a narrative: just narrate FILE, just narrate FILE.NAME
narrate NAME *OPTIONS: setup
    {{botticelli}} run {{NAME}} {{OPTIONS}}

# systemd/ and crontab.example from the default configuration
units: setup
    {{botticelli}} timers render --to systemd
    {{botticelli}} timers render --cron > crontab.example

# Print the manual page, which the wheel installs
man: setup
    {{python}} -m tools.manual

# What is printed from the keys: tables in docs/, the schema of narrative files
reference: setup
    {{python}} -m tools.reference

# Figures of docs/architecture.md: lines, modules with one importer, doubled names
house: setup
    {{python}} -m tools.house

# The pictures of the README
pictures: setup
    {{python}} -m tools.pictures

# Exact versions with hashes of all that is installed, for every platform: requirements.lock
lock: setup
    {{python}} -m pip install -q uv
    {{python}} -m uv pip compile pyproject.toml --extra openai --extra otel --extra apprise --universal --python-version 3.11 \
        --generate-hashes --no-header --no-annotate --upgrade -q -o requirements.lock

# A list of all that is installed, as CycloneDX: sbom.json
sbom: setup
    {{python}} -m pip install -q cyclonedx-bom
    .venv/bin/cyclonedx-py requirements requirements.lock --output-reproducible --output-file sbom.json

# Known vulnerabilities in requirements.lock; asks a service on the net
audit: setup
    {{python}} -m pip install -q pip-audit
    .venv/bin/pip-audit --require-hashes --disable-pip --requirement requirements.lock
