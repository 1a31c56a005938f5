# Load tests; included by the Makefile. What they measure and how: loadtest/README.md

.PHONY: loadtest locust peers compare chaos

# Not the virtual environment of the server, which imports none of this.
LOADTEST = loadtest/.venv/bin/python -m loadtest
MAKE_VENV = $(or $(PYTHON),python3) -m venv
INSTALL = bin/pip install --quiet --disable-pip-version-check --no-input --requirement

loadtest/.venv/installed: loadtest/requirements.txt
	@echo "Installing $< into loadtest/.venv"
	@$(MAKE_VENV) loadtest/.venv && loadtest/.venv/$(INSTALL) $< && touch $@

loadtest/peers/.venv/installed: loadtest/peers/requirements.txt
	@echo "Installing $< into loadtest/peers/.venv"
	@$(MAKE_VENV) loadtest/peers/.venv && loadtest/peers/.venv/$(INSTALL) $< && touch $@

loadtest/peers/node_modules/.installed: loadtest/peers/package-lock.json
	@echo "Installing $< into loadtest/peers/node_modules"
	@cd loadtest/peers && npm ci --silent && touch node_modules/.installed

.PHONY: server-venv
server-venv:
	@PYTHON=$(PYTHON) scripts/venv requirements.txt

loadtest: server-venv loadtest/.venv/installed    ## every load test against Anmei alone (three minutes)
	@$(LOADTEST) fanout --servers anmei
	@$(LOADTEST) fanout --servers anmei --rate 100 --bytes 240
	@$(LOADTEST) echo --servers anmei
	@$(LOADTEST) idle --servers anmei
	@$(LOADTEST) ingest
	@$(LOADTEST) latency
	@$(LOADTEST) storm
	@$(LOADTEST) slow

locust: server-venv loadtest/.venv/installed    ## made-up people who chat, with locust (ARGS="--users 500")
	@$(LOADTEST) locust $(ARGS)

peers: loadtest/peers/.venv/installed loadtest/peers/node_modules/.installed    ## install the servers that compare measures
	@true

compare: server-venv loadtest/.venv/installed peers    ## Anmei beside its peers, and the budget (ten minutes)
	@$(LOADTEST) compare $(ARGS)

chaos: server-venv loadtest/.venv/installed    ## people talk while everything breaks; then every message is counted (ten minutes)
	@$(LOADTEST) chaos $(ARGS)
