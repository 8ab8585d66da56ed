# make demo: install and open the app on the bundled model.  make test: install and pass the tests.
# Both use .venv in this folder and need Python 3.11 or newer and make, nothing else.

PYTHON ?= python3
BIN := .venv/bin
PORT ?= $(or $(STGAN_PORT),7860)

.PHONY: demo test test-oldest lint bench fuzz torture sbom audit clean

demo: .venv/demo
	STGAN_PORT=$(PORT) $(BIN)/python app.py

test: .venv/test lint
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The tests with the lowest versions that pyproject.toml allows; torch alone is as requirements.txt pins it.
test-oldest:
	$(PYTHON) -m venv .venv-oldest
	grep '^torch==' requirements.txt > .venv-oldest/torch.txt
	.venv-oldest/bin/python -m pip install --quiet uv -r .venv-oldest/torch.txt
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct \
		--constraint .venv-oldest/torch.txt --editable ".[app,train,test]"
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Attacks in large numbers, see docs/reliability.md: mutated inputs and hostile photos; trainings that are killed.
fuzz: .venv/test
	cd tests && PYTHONPATH=.. nice ../$(BIN)/python -m attacks inputs --count 100000
	cd tests && PYTHONPATH=.. nice ../$(BIN)/python -m attacks photos

torture: .venv/test
	cd tests && PYTHONPATH=.. nice ../$(BIN)/python -m attacks training

# The bill of materials: every package that the demo installs, with its version and licence (CycloneDX).
sbom: .venv/demo .venv-audit
	.venv-audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
		--output-file sbom.json $(BIN)/python

# Known advisories about them.
audit: .venv-audit
	.venv-audit/bin/pip-audit --requirement requirements.txt

.venv-audit:
	$(PYTHON) -m venv $@
	$@/bin/python -m pip install --quiet "cyclonedx-bom>=7" "pip-audit>=2.9" || (rm -rf $@; false)

# Some minutes on two cores; writes docs/performance.md.
bench: .venv/test
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

# requirements.txt first and alone: its exact versions then satisfy the ranges of pyproject.toml.
.venv/demo: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet -r requirements.txt --editable ".[app,train,test]"
	touch $@

clean:
	rm -rf .venv .venv-oldest .venv-audit sbom.json
