# Everything here works from a fresh clone: each target makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The bases that tests use, kept between runs and fetched once.
TEST_HOME := .cache/rankwise

.PHONY: install demo test test-all check evidence evidence-reliability evidence-speed evidence-methods evidence-serving evidence-doctrines clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rankwise needs Python 3.11 or later; PYTHON=python3.12 make chooses one")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,rl,postgres,experiment,tensorboard]' -c constraints.txt
	@touch $@

demo: install
	$(BIN)/rankwise demo

# At most 20 minutes on 2 cores.
test: install
	RANKWISE_HOME=$(TEST_HOME) $(BIN)/rankwise models fetch smollm2-135m
	$(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile

# At most 75 minutes on 2 cores.
test-all: install
	RANKWISE_HOME=$(TEST_HOME) $(BIN)/rankwise models fetch smollm2-135m
	$(BIN)/python -m pytest

check: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The committed figures of docs/evidence, measured again (over an hour): make evidence DATA=folder-of-public-sets
evidence: install
	$(BIN)/python benchmarks/first_adapters.py --domains
	$(BIN)/python benchmarks/first_adapters.py $(DATA)
	$(BIN)/python benchmarks/predictions.py --seed 1

# How often a run survives kill -9, failing disk calls and damaged files, counted (about 25 minutes).
evidence-reliability: install
	$(BIN)/python benchmarks/reliability.py --kills 500 --output docs/evidence/reliability.md

# docs/evidence/speed.md: training beside TRL with PEFT, in an environment of its own. At most an hour on 2 cores, with
# nothing else running; killed, it goes on where it was. make evidence-speed DATA=folder-of-public-sets
PEER := .cache/peer
evidence-speed: install $(PEER)/.installed
	$(BIN)/python benchmarks/train_speed.py --peer $(PEER)/bin/python $(if $(DATA),--data $(DATA))
	$(BIN)/python benchmarks/train_speed.py --growth

$(PEER)/.installed: constraints.txt
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(PEER)/bin/python -m pip install --quiet --disable-pip-version-check trl==1.16.0 peft transformers datasets bitsandbytes -c constraints.txt
	@touch $@

# docs/evidence/methods.md: every method, for each task it has, about ten minutes a line on 2 cores; then rewards.md,
# compute.md and method_times.md, of which the last two want nothing else running. Killed, it goes on where it was.
# make evidence-methods DATA=folder-of-public-sets
evidence-methods: install
	$(BIN)/python benchmarks/methods.py $(DATA)
	$(BIN)/python benchmarks/rewards.py $(DATA)
	$(BIN)/python benchmarks/compute.py $(DATA)/financial_phrasebank/train.jsonl
	$(BIN)/python benchmarks/method_times.py $(DATA)/financial_phrasebank/train.jsonl

# docs/evidence/serving.md: beside generate and PEFT, under load, mixed against alone, and the canary, on the embedded base.
# About an hour on 2 cores (bfloat16 many times that on a processor without it), with nothing else running; killed, it
# goes on where it was.
evidence-serving: install
	$(BIN)/python benchmarks/serving_page.py

# docs/evidence/doctrines.md: our plans against every other doctrine and a grid, on six public sets. Many hours; each run is
# kept, so MINUTES=60 does it in pieces. make evidence-doctrines DATA=folder-of-public-sets
evidence-doctrines: install
	$(BIN)/python benchmarks/doctrines.py $(DATA) $(if $(MINUTES),--minutes $(MINUTES))

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
