# `make help` lists what there is. Everything runs in .venv, made from the locked requirements.
.DEFAULT_GOAL := help
.PHONY: compiled dist test-compiled manifests pictures help demo test check format generate bench bench-quick bench-compare bench-peers fuzz lock clean tools e2e cluster-up cluster-down images audit sbom release-check docs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto
E2E_JOBS ?= 4

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.runtime: requirements/runtime.lock requirements/build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tubepost needs Python 3.11 or later; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked requirements into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/build.lock
	@$(PIP) --require-hashes -r requirements/runtime.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed: $(VENV)/.runtime requirements/dev.lock
	@echo "Installing what tests need into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.runtime ## Show the main job: a message in by SMTP, a notification out to a simulated APNs (KEEP=1: see it on the inbox page)
	@$(BIN)/tubepost demo $(if $(KEEP),--keep)

tools: ## Install what tests need and pip does not bring (swaks, nginx, Go and Node peers)
	@scripts/setup-test-tools

test: $(VENV)/.installed tools check ## Run all checks and tests
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup -q --ignore=tests/chart

e2e: $(VENV)/.installed ## Run the tests on a real Kubernetes that this machine brings up (Linux, root, Go)
	@$(BIN)/pytest tests/chart tests/cluster/e2e -n $(E2E_JOBS) --dist loadgroup -q --durations=20

cluster-up: $(VENV)/.installed ## Bring up a Kubernetes with the project's images, and leave it up
	@$(BIN)/python -m tests.cluster up

cluster-down: $(VENV)/.installed ## Take it down
	@$(BIN)/python -m tests.cluster down

images: $(if $(filter cluster,$(LOAD)),$(VENV)/.installed) ## Build the images (PREFIX, TAG, PLATFORMS, PUSH=1, LOAD=kind|k3d|minikube|cluster, CLUSTER, ENGINE, BASE, BUILDER, PURE=1)
	@$(PYTHON) images/build $(if $(PREFIX),--prefix $(PREFIX)) $(if $(TAG),--tag $(TAG)) \
	  $(if $(PLATFORMS),--platforms $(PLATFORMS)) $(if $(PUSH),--push) $(if $(LOAD),--load $(LOAD)) \
	  $(if $(CLUSTER),--cluster $(CLUSTER)) $(if $(ENGINE),--engine $(ENGINE)) $(if $(BASE),--base $(BASE)) \
	  $(if $(BUILDER),--builder $(BUILDER)) $(if $(PURE),--pure)

check: $(VENV)/.installed ## Lint, types, architecture, generated files
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/generate.py --check

format: $(VENV)/.installed ## Format the code
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

pictures: $(VENV)/.installed tools ## Draw the pictures in docs/images anew, as tests take them (CLUSTER=1: those of a cluster too)
	@TUBEPOST_PICTURES=docs/images $(BIN)/pytest -q tests/e2e/test_inbox.py tests/e2e/test_dashboard.py tests/cli/kubectl/test_status_text.py -k "picture or drawn"
	@$(if $(CLUSTER),TUBEPOST_PICTURES=docs/images $(BIN)/pytest -q tests/cluster/e2e/test_operator_alerts.py)

generate: $(VENV)/.installed ## Write CRDs and reference pages from the code
	@$(BIN)/python scripts/generate.py

manifests: $(VENV)/.installed ## Write deploy/tubepost.yaml from the chart (needs helm)
	@$(BIN)/python scripts/render-manifests

bench-peers: $(VENV)/.installed tools ## Build the contestants that others wrote (Go, Rust, Java, Node, Python), as far as they can be had
	@$(BIN)/python -m benchmarks.peers.builds

bench: bench-peers ## Measure Tubepost beside its peers; figures, plot and history are written (10 min; ARGS=)
	@$(BIN)/python -m benchmarks --record --page $(ARGS)

bench-quick: bench-peers ## The same in short: what matters most, once; the history is written (ARGS=)
	@$(BIN)/python -m benchmarks --quick --record $(ARGS)

bench-compare: $(VENV)/.installed ## Show how the benchmark's ratios went over the recorded runs
	@$(BIN)/python -m benchmarks.history

compiled: $(VENV)/.installed ## Compile what every message passes (mypyc, needs a C compiler) into build/compiled
	@scripts/setup-test-tools --compiler
	@$(BIN)/python scripts/compile_modules.py build/compiled

dist: compiled ## Build the wheels: one that is all Python, and one of this Python and platform with compiled modules
	@rm -f dist/tubepost-*.whl
	@$(BIN)/python -m hatchling build -t wheel -d dist
	@HATCH_BUILD_HOOK_ENABLE_CUSTOM=true COMPILED_MODULES=$(CURDIR)/build/compiled $(BIN)/python -m hatchling build \
	  -t wheel -d dist

# Those of the modules themselves, and with them conformance, faults and hostile input: of all the others, pods run the
# compiled ones in the tests on a cluster.
COMPILED_TESTS ?= tests/test_compiled.py tests/fuzz $(wildcard tests/dispatcher/test_*.py) \
  $(addprefix tests/dispatcher/,acceptance apns delivery feeds intake policy queue smtp store worker) \
  $(addprefix tests/peers/test_,failover.py goaway.py hostile.py makes.py servers.py stream_limit.py) \
  $(addprefix tests/e2e/test_,clients.py policy_abuse.py queue_crash.py reloads.py wheel.py)
test-compiled: compiled tools ## Run the tests of conformance, faults and hostile input against compiled modules
	@PYTHONPATH=$(CURDIR)/build/compiled $(BIN)/pytest -n $(JOBS) --dist loadgroup -q -m "not pure" $(COMPILED_TESTS)

fuzz: $(VENV)/.installed ## Fuzz what reads bytes from outside (TARGET=smtp_session, SECONDS=10 or RUNS=1000000 of each, SEED=1 to repeat)
	@$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(TARGET)

$(VENV)-audit/.installed: requirements/audit.lock
	@test -x $(VENV)-audit/bin/python || $(PYTHON) -m venv $(VENV)-audit
	@$(VENV)-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

audit: $(VENV)-audit/.installed ## Ask the package index for known vulnerabilities (STRICT=1: one that cannot say is a failure)
	@$(VENV)-audit/bin/python scripts/supply_chain.py audit $(if $(STRICT),--strict)

sbom: $(VENV)-audit/.installed ## Write bills of materials of the images (CycloneDX) to dist/sbom
	@$(VENV)-audit/bin/python scripts/supply_chain.py sbom

$(VENV)-docs/.installed: requirements/docs.lock
	@test -x $(VENV)-docs/bin/python || $(PYTHON) -m venv $(VENV)-docs
	@$(VENV)-docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

docs: $(VENV)-docs/.installed ## Build the documentation site into dist/site, warnings as errors (SERVE=1: serve it on loopback)
	@NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs $(if $(SERVE),serve,build)

release-check: ## Compare TAG with every place that names the version; have all platforms of the images their wheels?
	@$(PYTHON) scripts/release_check.py $(TAG)
	@$(PYTHON) scripts/image_wheels.py

lock: ## Resolve the requirements anew within their ranges
	@$(PYTHON) -m pip install --quiet --target .cache/uv uv
	@printf 'editables>=0.5,<1\nhatchling>=1.27,<2\n' | .cache/uv/bin/uv pip compile --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --upgrade - \
	  -o requirements/build.lock
	@printf 'mypy>=1.15\nsetuptools>=78.1.1\ntypes-PyYAML>=6.0.12\n' | .cache/uv/bin/uv pip compile --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --upgrade - \
	  -o requirements/compile.lock
	@printf 'mkdocs>=1.6,<2\nmkdocs-material>=9.7,<10\n' | .cache/uv/bin/uv pip compile --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --upgrade - \
	  -o requirements/docs.lock
	@printf 'cyclonedx-bom>=7.5,<8\npip-audit>=2.10,<3\n' | .cache/uv/bin/uv pip compile --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --upgrade - \
	  -o requirements/audit.lock
	@for part in runtime operator dev; do \
	  extra=$$(test $$part = runtime || echo "--extra $$part"); \
	  .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --no-header --no-emit-index-url --no-emit-package tubepost --upgrade $$extra pyproject.toml -o requirements/$$part.lock; done

clean: ## Remove what the targets made
	rm -rf $(VENV) $(VENV)-audit $(VENV)-docs dist build .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
