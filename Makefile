# From nothing to running: `make demo` and `make test` do all their own set-up. `make help` lists the rest.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
SPARK4_VENV := .venv-spark4
SPARK4_PINS := constraints-spark4.txt
# Which Python makes the environment; empty: python3.11, else a python3 that is new enough.
PYTHON ?=
export PYTHON

RUN := $(VENV)/bin/python
SETUP_FILES := pyproject.toml constraints.txt $(addprefix scripts/,setup.sh precompile_spark.py install_launcher.py spark-submit.in)
KERNELS := $(wildcard sparkprep/dedup/*.py sparkprep/dedup/kernels/*.py sparkprep/filter/*.py sparkprep/filter/kernels/*.py sparkprep/tokens/xxhash64.py sparkprep/extract/scanning.py sparkprep/startup/kernels.py)
QUICK := not slow and not scale and not cluster and not storage and not bootstrap and not browser and not golden and not gpu

# An environment knows its own path: one that was moved or copied is made anew.
moved = $(if $(filter-out 0,$(shell test "$$(cat $(1)/.ready 2>/dev/null)" = "$$PWD"; echo $$?)),always)

.PHONY: always
help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

##@ Use
.PHONY: help demo train-final tune tune-demo setup setup-train

demo: setup ## extract 10,000 documents of the real world from crawl archives, deduplicate, grade, tokenize them; writes demo/
	@$(RUN) -m sparkprep.sample --size 10k --archives demo/warc
	@$(VENV)/bin/spark-submit jobs/extract.py --input demo/warc --output demo/pages --overwrite
	@$(RUN) -m sparkprep.sample --size 10k --compare demo/pages --json demo/words.json
	@$(VENV)/bin/spark-submit jobs/dedup.py --size 10k --output demo/10k --overwrite
	@$(RUN) jobs/grade.py demo/10k --size 10k
	@rm -rf demo/shards
	@$(VENV)/bin/spark-submit jobs/tokens.py --input demo/10k --output demo/tokens --overwrite \
		--shards demo/shards --shard-tokens 1000000 --name demo
	@$(VENV)/bin/sparkprep convert tokenizer demo/shards/gpt2_tokenizer.bin --overwrite
	@echo "Next: open demo/pages/report.html and demo/10k/report.html in a browser; \`.venv/bin/sparkprep peek demo/shards/demo_val_000000.bin\`"
	@echo "shows the tokens; \`make train-final REHEARSE=1\` trains a small GPT-2 on them and plots its losses."

# With REHEARSE=1, or where nothing is named and there is no GPU (it says so), its rehearsal, on the demo's shards unless DATA
# names others.
# A variable that is named is handed over, an empty one too (SEED_MODEL=$UNSET): nothing that is named is left aside.
given = $(if $(filter-out undefined,$(origin $1)),$2 "$($1)")
named = $(strip $(foreach each,REHEARSE SEED_MODEL LR DATA OUT ARGS,$(filter-out undefined,$(origin $(each)))))
say_so := echo "No GPU was found and nothing is named, so this only rehearses the final run, as REHEARSE=1 does."
no_gpu := ! $(RUN) -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'
train-final: setup-train ## the seed-resumed final run: SEED_MODEL=file LR=rate DATA=shards OUT=folder (ARGS="..."); in small: REHEARSE=1
	@if test -z "$(DATA)" && ! test -d demo/shards && \
		{ test -n "$(REHEARSE)" || { test -z "$(SEED_MODEL)$(LR)$(OUT)$(ARGS)" && $(no_gpu); }; }; then $(MAKE) demo; fi
	@$(if $(named),,if $(no_gpu); then $(say_so); exec $(RUN) train/train_final.py --rehearse; fi;) \
		$(RUN) train/train_final.py $(if $(REHEARSE),--rehearse) $(call given,SEED_MODEL,--seed-model) $(call given,LR,--learning-rate) \
		$(call given,DATA,--data) $(call given,OUT,--output) $(ARGS)

tune: setup-train ## choose the rate of the final run within a budget of dollars: DATA=shards BUDGET=40 (STRATEGY=name SEED_MODEL=file OUT=folder ARGS="...")
	@$(RUN) train/tune_lr.py run $(call given,DATA,--data) $(call given,BUDGET,--budget) $(call given,STRATEGY,--strategy) \
		$(call given,SEED_MODEL,--continue) $(call given,OUT,--output) $(ARGS)

# A model of one layer and 64 channels at 512 tokens a step, on the demo's shards: its budget is under five minutes
# of a machine at $1.50 an hour, and the ledger keeps to it. Another run goes on with, or only shows, the study that is there.
TUNE_DEMO := --data demo/shards -o demo/tuning --strategy early-stop --budget 0.12 --reserve 0 --steps 500 -1d 1 -1c 64 -1h 1 -b 8 -t 64 -d 512 \
	--val-tokens 8192 --low 3e-4 --high 0.1 --device cpu
tune-demo: setup-train ## the same in small, on a CPU: a tiny model on the demo's shards, minutes; writes demo/tuning
	@test -d demo/shards || $(MAKE) demo
	@$(RUN) train/tune_lr.py probe $(TUNE_DEMO)
	@$(RUN) train/tune_lr.py plan $(TUNE_DEMO)
	@$(RUN) train/tune_lr.py run $(TUNE_DEMO)

setup: $(VENV)/.ready $(VENV)/.warm $(VENV)/.archived ## make .venv with all that the jobs need (once; a second run does nothing)

$(VENV)/.ready: $(SETUP_FILES) $(call moved,$(VENV))
	@scripts/setup.sh $(VENV) spark,java
	@echo "$$PWD" >$@

# Compile the kernels, and the modules that jobs import, into their caches on disk now, so that no job waits for it; also
# where Python is told not to write compiled modules (as in many containers), or each start would compile them anew.
$(VENV)/.warm: $(VENV)/.ready $(KERNELS)
	@rm -f sparkprep/*/kernels/__pycache__/*.nb[ic]  # Numba looks at a kernel's own file, not at what it calls
	@env -u PYTHONDONTWRITEBYTECODE $(RUN) -m sparkprep.startup.warm
	@touch $@

$(VENV)/.archived: $(VENV)/.ready scripts/archive_classes.py | $(VENV)/.warm
	@$(RUN) scripts/archive_classes.py
	@touch $@

PIP := $(RUN) -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --no-build-isolation --no-compile

setup-train: setup $(VENV)/.trainer ## the trainer's packages too: PyTorch (its CUDA build where there is a GPU takes gigabytes)

# Here too the modules that a run imports are compiled now.
$(VENV)/.trainer: train/pyproject.toml constraints.txt $(VENV)/.ready
	@echo "Installing PyTorch and what else the trainer wants; this happens once and takes a minute or two (with a GPU, longer)."
	@$(PIP) --editable ./train
	@env -u PYTHONDONTWRITEBYTECODE $(RUN) -c 'import trainer.loop.loop, trainer.runs.plots, torch._dynamo'
	@touch $@

##@ Check
.PHONY: check-datatrove test test-more scale-test cluster-test storage-test bootstrap-test browser-test unit lint types format test-spark4 test-narrow check-golden environment

test: lint types unit ## lint, types and the quick tests (under ten minutes on two cores)
	@echo "Next: \`make demo\` removes the near-duplicates from 10,000 documents; \`make test-more\` runs the slow tests."

test-more: environment ## what starts Spark or the trainer again and again: slow tests, documented commands, notebooks
	@$(RUN) -m pytest -n 2 --dist worksteal -m slow

scale-test: environment ## bad shapes, giant components, many thresholds and crawls: what takes minutes of all cores (not in CI)
	@$(RUN) -m pytest -m scale --durations=20 $(ARGS)

cluster-test: environment ## the jobs on a Spark master and two workers that share no folder with the driver, only S3
	@$(RUN) -m pytest -m cluster tests/cluster

# S3A_JARS: a folder for Hadoop's S3A, fetched into it once (180 MB); where it is not named, its test is skipped.
CEPH := ceph-mon ceph-osd radosgw
install_ceph = apt-get install -y -q --no-install-recommends $(CEPH) >/dev/null
storage-test: environment ## that cluster and the whole pipeline against Ceph's S3, and what goes wrong there: S3A_JARS=folder, ARGS="..."
	@which $(CEPH) >/dev/null || $(install_ceph) || { apt-get update -q >/dev/null && $(install_ceph); } || \
		echo "no Ceph could be installed (Debian, as root: apt-get install $(CEPH)): nothing is tested"
	@$(if $(S3A_JARS),$(RUN) scripts/s3a_jars.py "$(S3A_JARS)")
	@S3A_JARS="$(S3A_JARS)" $(RUN) -m pytest -rs -m storage tests/storage $(ARGS)

bootstrap-test: environment ## emr/bootstrap.sh on a node in a Debian of its own, and each of its faults (root; apt install debootstrap shellcheck)
	@$(RUN) -m pytest -rs -m bootstrap tests/bootstrap

browser-test: environment $(VENV)/.browser ## the report and the pages of `browse` in Chromium, where there is one (Debian: apt install chromium)
	@$(RUN) -m pytest -rs -m browser tests/browser

test-narrow: environment ## the tests of computed numbers without this processor's wide instructions (a quarter of an hour)
	@tests/narrow_instructions.sh

unit: environment ## the tests of `make test` alone
	@$(RUN) -m pytest -n 2 --dist worksteal -m "$(QUICK)"

lint: environment ## ruff: rules and layout
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

types: environment ## mypy over the packages
	@$(RUN) -m mypy

format: $(VENV)/.developer ## ruff: mend layout and what it can mend of the rules
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .

# Both at once: one waits for downloads while the other compiles.
environment:
	@$(MAKE) -j2 setup $(VENV)/.developer

# Not `--editable .[dev]`: to install the package again is to take it away for a moment, while .warm imports it.
DEVELOPERS := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"], sep="\n")

$(VENV)/.developer: pyproject.toml train/pyproject.toml constraints.txt $(VENV)/.ready
	@echo "Installing what the tests want, PyTorch among it; this happens once and takes a minute or two (with a GPU, longer)."
	@$(RUN) -c '$(DEVELOPERS)' | $(PIP) --requirement /dev/stdin --editable './train[dev]'
	@env -u PYTHONDONTWRITEBYTECODE $(RUN) -c 'import trainer.loop.loop, trainer.runs.plots, torch._dynamo, transformers.models.gpt2'
	@touch $@ $(VENV)/.trainer

$(VENV)/.browser: pyproject.toml constraints.txt $(VENV)/.ready
	@$(RUN) -c '$(subst dev,browser,$(DEVELOPERS))' | $(PIP) --requirement /dev/stdin
	@touch $@

$(SPARK4_VENV)/.ready: $(SETUP_FILES) $(SPARK4_PINS) $(call moved,$(SPARK4_VENV))
	@scripts/setup.sh $(SPARK4_VENV) spark,java,dev $(SPARK4_PINS)
	@echo "$$PWD" >$@

test-spark4: $(SPARK4_VENV)/.ready ## the tests of `make test` on Spark 4, in .venv-spark4
	@$(SPARK4_VENV)/bin/python -m pytest -n 2 --dist loadfile -m "$(QUICK)" --ignore tests/trainer

check-golden: environment ## the same on a corpus with known truth, main text on pages with known text, and our files against llm.c's own: DATA=folder
	@test -n "$(DATA)" || { echo "usage: make check-golden DATA=folder (docs-10k.parquet and docs-10k.pairs.parquet, in it"; \
		echo "or in its corpus/; so for pages.warc.gz and pages.gold.parquet; hellaswag_val.bin.gz and the other files of"; \
		echo "tests/promises/test_golden.py; any of the three may be missing)"; exit 2; }
	@if test -e "$(DATA)/hellaswag_val.bin.gz"; then GOLDEN_DATA="$(DATA)" $(RUN) -m pytest -m golden tests/promises/test_golden.py; fi
	@corpus="$(DATA)"; test -e "$$corpus/docs-10k.parquet" || corpus="$$corpus/corpus"; \
	if test -e "$$corpus/docs-10k.parquet"; then \
		$(VENV)/bin/spark-submit jobs/dedup.py --input "$$corpus/docs-10k.parquet" --output demo/golden --overwrite && \
		$(RUN) jobs/grade.py demo/golden --truth "$$corpus/docs-10k.pairs.parquet" --min-precision 1 --min-recall 0.995; \
	fi
	@if test -e "$(DATA)/pages.warc.gz" -o -e "$(DATA)/corpus/pages.warc.gz"; then \
		GOLDEN_DATA="$(DATA)" $(RUN) -m pytest -m golden tests/extract/test_gold.py; fi

DATATROVE_VENV := .venv-datatrove
$(DATATROVE_VENV)/.ready: scripts/datatrove_environment.sh
	@scripts/datatrove_environment.sh $(DATATROVE_VENV)
	@touch $@

check-datatrove: setup $(DATATROVE_VENV)/.ready ## the rules of `filter` decide as datatrove's filters do, in an environment of its own: DATA="docs.parquet docs.wet.gz"
	@data="$(DATA)"; test -n "$$data" || data=$$($(RUN) -c 'from sparkprep.sample import embedded; print(embedded("10k", announce=lambda line: None).documents)'); \
	PYTHONPATH=. $(DATATROVE_VENV)/bin/python benchmarks/against_datatrove.py $$data $(ARGS)

##@ Measure (DATA=file or folder of Parquet; without it the embedded subsets; ARGS="..." for further options)
.PHONY: bench-trainer bench-start-up bench-tokenizer bench-tokens bench-kernel bench-job bench-estimate bench-extract bench-languages bench-versus bench-peers bench-s3 bench-memory bench-invariance bench-skew bench-scale bench-tune
with_data = $(if $(DATA),--data "$(DATA)") $(ARGS)

bench-kernel: environment ## text to signature on one core, against datasketch: DATA=docs.parquet
	@$(RUN) benchmarks/kernel.py $(with_data)

bench-tokenizer: setup ## text to GPT-2's ids on one core, against tiktoken: DATA=docs.parquet
	@$(RUN) benchmarks/tokenizer.py $(with_data)

bench-tokens: setup ## CPU seconds of documents to shards, against Spark copying the same: DATA=file or folder
	@$(RUN) benchmarks/tokens.py $(with_data)

bench-job: setup ## CPU seconds of the job, against Spark copying the same: DATA=file or folder
	@$(RUN) benchmarks/job.py $(with_data)

bench-estimate: setup ## what `sparkprep estimate` tells beside what the job takes: DATA=file or folder
	@$(RUN) benchmarks/estimate.py $(with_data)

bench-extract: setup ## main text out of pages, and the job: PAGES=pages.warc.gz GOLD=pages.gold.parquet ARGS="--job 20000"
	@$(RUN) benchmarks/extract.py --pages "$(PAGES)" $(if $(GOLD),--gold "$(GOLD)") $(ARGS)

bench-languages: setup ## detectors of languages side by side: ARGS="--udhr FOLDER --django FOLDER --documents FILE"
	@$(RUN) benchmarks/languages.py $(ARGS)

bench-versus: setup ## CPU seconds of the job here and in another checkout, in turns: OTHER=folder DATA=docs.parquet
	@$(RUN) benchmarks/versus.py "$(OTHER)" $(with_data)

bench-peers: environment ## datasketch, Spark MLlib and this on the same file: DATA=docs.parquet PAIRS=docs.pairs.parquet
	@$(RUN) benchmarks/peers.py $(if $(PAIRS),--pairs "$(PAIRS)") $(with_data)

bench-s3: environment ## CPU seconds of the job on a disk and through a server of S3's protocol: DATA=file or folder
	@$(RUN) benchmarks/through_s3.py $(with_data)

bench-memory: setup ## memory of the Python workers on long documents (makes its own; DATA=folder to write them in)
	@$(RUN) benchmarks/memory.py $(if $(DATA),--temp "$(DATA)") $(ARGS)

bench-invariance: setup ## same rows for any files, order and workers: DATA=docs.parquet
	@$(RUN) benchmarks/invariance.py $(with_data)

bench-skew: setup ## the job on shapes that are bad for it: right answers, task times, memory
	@$(RUN) benchmarks/skewed.py $(ARGS)

bench-scale: setup ## what a document costs at several sizes: ARGS="--corpus FOLDER FOLDER --save FOLDER --plot PNG"
	@$(RUN) benchmarks/scale.py $(ARGS)

bench-tune: environment ## ways to tune a learning rate with the same dollars, replayed without a GPU (half an hour; goes on): ARGS="--seeds 20"
	@$(RUN) benchmarks/tune_replay.py $(ARGS)

bench-trainer: environment ## tokens a second of training, beside transformers' GPT-2; on a GPU d12 at full size
	@$(RUN) benchmarks/training.py $(ARGS)

bench-start-up: setup-train ## seconds from the command to the first step, on 26 shards: from a seed model, from a checkpoint
	@$(RUN) benchmarks/start_up.py $(ARGS)

##@ Tidy
.PHONY: clean

clean: ## remove what make built: environments, caches, demo
	@rm -rf $(VENV) $(SPARK4_VENV) $(DATATROVE_VENV) .venv-cluster .cache .hypothesis .pytest_cache .mypy_cache .ruff_cache build dist demo
	@rm -rf *.egg-info spark-warehouse metastore_db derby.log
	@find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
