# The front door: every task that a person or CI does has a target here.
SHELL := /bin/bash
JAVA_HOME := $(shell tools/jdk.sh 2>/dev/null)
export JAVA_HOME
MVN := mvn -ntp -B

.PHONY: help
help: ## show this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: jdk
jdk:
	@tools/jdk.sh >/dev/null

.PHONY: build
build: jdk ## compile everything with all gates, without tests
	@$(MVN) -q package -DskipTests

.PHONY: format
format: jdk ## rewrite the Java sources in the house format
	@$(MVN) -q spotless:apply

.PHONY: generate
generate: jdk ## rewrite the files that come from the API's Java types
	@$(MVN) -q test -pl crds -Dtest=GeneratedFilesTest -Dtorpor.generate=true

.PHONY: test-unit
test-unit: jdk ## unit tests: no environment needed, under 2 minutes
	@$(MVN) -q verify -DskipITs

.PHONY: clean
clean: jdk ## delete what was built here (not the cache of Kubernetes binaries)
	@$(MVN) -q clean
