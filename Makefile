# The front door: every task that a person or CI does has a target here.
SHELL := /bin/bash
JAVA_HOME := $(shell tools/jdk.sh 2>/dev/null)
export JAVA_HOME
MVN := mvn -ntp -B -Dstyle.color=never

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

.PHONY: record-qmp
record-qmp: jdk guest ## write down anew what each QEMU that runs here answers to a probe
	@TORPOR_QEMU=all $(MVN) -q verify -pl e2e -am -DskipUTs -Dtorpor.record=true -Dit.test='QemuVersionsIT#itAnswersAsItWasRecorded*' -Dfailsafe.failIfNoSpecifiedTests=false

.PHONY: packages kubernetes guest images helm
packages:
	@tools/packages.sh
kubernetes:
	@tools/kubernetes.sh >/dev/null
helm:
	@tools/helm.sh >/dev/null
guest: packages
	@tools/guest.sh >/dev/null
	@tools/qemu.sh 7.2 >/dev/null
	@tools/libvirt.sh >/dev/null
images: packages build ## container images of operator, agent and launcher (and of the tests), in target/images
	@tools/images.sh >/dev/null

.PHONY: demo
demo: jdk ## save a VM and bring it back on a Kubernetes node of its own; as root
	@tools/demo.sh

.PHONY: lint-chart
lint-chart: helm ## helm lint
	@"$$(tools/helm.sh)/helm" lint --strict helm/torpor

.PHONY: test-chart
test-chart: lint-chart ## unit tests of the chart; the api tier runs them too, and installs it
	@"$$(tools/helm.sh)/helm-unittest" helm/torpor

.PHONY: test
test: jdk packages kubernetes helm images ## all tests, and how many ran on each tier
	@tools/test.sh

# Not in the quick run that comes before.
test-full: private export TORPOR_CANCELS = 500
test-full: test-simulations
.PHONY: test-full
test-full: test ## the same, the tests of the API on the oldest and the newest Kubernetes that is supported, and those of QEMU on other versions
	@failed=; for v in oldest newest; do \
	  { TORPOR_K8S=$$v tools/kubernetes.sh >/dev/null && TORPOR_K8S=$$v tools/test.sh api; } || failed="$$failed api-on-$$v"; \
	done; \
	TORPOR_QEMU=all tools/test.sh qemu || failed="$$failed qemu"; \
	[ -z "$$failed" ] || { echo "torpor: failed:$$failed"; exit 1; }

.PHONY: test-simulations
test-simulations: jdk ## random lives of VMs, agents and operators at length; about 3 minutes
	@$(MVN) -q test -pl node-agent -am -Dtest='CrashSimulationTest,ManagedSaveSimulationTest' -Dtorpor.simulation.runs=5000 -Dsurefire.failIfNoSpecifiedTests=false

.PHONY: test-unit
test-unit: jdk ## unit tests: no environment needed, under 2 minutes
	@tools/test.sh unit

.PHONY: test-qemu
test-qemu: jdk packages guest ## tests on real QEMU
	@tools/test.sh qemu

.PHONY: test-api
test-api: jdk kubernetes helm ## tests of the API on a real API server
	@tools/test.sh api

.PHONY: test-standin
test-standin: jdk packages kubernetes guest ## operator and agent on a real control plane and a stand-in node
	@tools/test.sh standin

.PHONY: test-node
test-node: jdk packages kubernetes images ## Torpor installed by its chart, as pods on a real kubelet
	@tools/test.sh node

.PHONY: e2e
e2e: test-node ## the same as test-node

.PHONY: soak
soak: jdk packages kubernetes guest ## an hour of saves and restores, to see that nothing grows (TORPOR_SOAK_MINUTES); as root
	@TORPOR_SOAK_MINUTES=$${TORPOR_SOAK_MINUTES:-60} $(MVN) verify -pl e2e -am -DskipUTs -Dit.test=SoakIT -Dfailsafe.failIfNoSpecifiedTests=false

.PHONY: bench bench-saves
bench: bench-saves bench-lazy bench-drain bench-images bench-memory ## all that has a limit: saves and restores, lazy resumes, a drain, start-up and memory of the parts; about 26 minutes, as root
bench-saves: jdk packages ## save and restore through the agent beside QEMU by hand and fio; about 10 minutes
	@$(MVN) -q package -DskipTests -pl e2e -am
	@$(JAVA_HOME)/bin/java --enable-native-access=ALL-UNNAMED -cp "e2e/target/classes:e2e/target/lib/*" dev.torpor.e2e.bench.Bench

.PHONY: bench-drain
bench-drain: jdk packages kubernetes ## a drain of 10 VMs on two stand-in nodes beside what the disk takes for as many bytes, as it is and held to a rate; about 6 minutes, as root
	@$(MVN) -q package -DskipTests -pl e2e -am
	@$(JAVA_HOME)/bin/java --enable-native-access=ALL-UNNAMED -cp "e2e/target/classes:e2e/target/lib/*" dev.torpor.e2e.bench.DrainBench

.PHONY: bench-lazy
bench-lazy: jdk packages ## from the launch of QEMU to a running guest: lazy resumes beside bare starts; about 1 minute
	@$(MVN) -q package -DskipTests -pl e2e -am
	@$(JAVA_HOME)/bin/java --enable-native-access=ALL-UNNAMED -cp "e2e/target/classes:e2e/target/lib/*" dev.torpor.e2e.bench.LazyBench

.PHONY: bench-streams
bench-streams: jdk packages ## recorded channels beside a null sink and bare recording, on the disk and in memory, and compression; about 8 minutes
	@$(MVN) -q package -DskipTests -pl e2e -am
	@$(JAVA_HOME)/bin/java --enable-native-access=ALL-UNNAMED -cp "e2e/target/classes:e2e/target/lib/*" dev.torpor.e2e.bench.StreamBench

.PHONY: bench-images
bench-images: jdk kubernetes images ## start-up and memory of operator and agent from their images; about 5 minutes, as root
	@$(JAVA_HOME)/bin/java --enable-native-access=ALL-UNNAMED -cp "e2e/target/classes:e2e/target/lib/*" dev.torpor.e2e.bench.ImageBench

.PHONY: bench-memory
bench-memory: jdk packages kubernetes images ## the agent's memory while it saves a VM of 4 GiB, on a real kubelet; about 4 minutes, as root
	@TORPOR_BIG_VM_MIB=4096 $(MVN) -q verify -pl e2e -am -DskipUTs -Dit.test=AgentMemoryIT -Dfailsafe.failIfNoSpecifiedTests=false

.PHONY: clean
clean: jdk ## delete what was built here (not the cache of Kubernetes binaries)
	@$(MVN) -q clean
