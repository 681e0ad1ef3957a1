# Copyright 2026 The vggt4d_ros authors
# SPDX-License-Identifier: Apache-2.0

RUN = scripts/run
PYTEST = $(RUN) python -m pytest
SHELL = bash

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-packages lint format clean licences

help:      ## this list
	@sed -nE 's/^([a-z-]+): *([a-z -]*)## (.*)/  make \1\t\3/p' Makefile | expand -t 18

setup:     ## prepare .ros2 (ROS 2, Python packages) and .ws (this package, built)
	@bash scripts/setup.sh

demo: setup ## replay a real four-camera recording through the node, print what came out
	@$(RUN) python -m vggt4d_ros.demo

test: setup test-packages lint ## static checks, unit tests, tests over real DDS
	@$(PYTEST) test

test-all: setup test-packages lint ## the same with the slow tests
	@$(PYTEST) test -m ""

test-packages: setup
	@$(RUN) python scripts/setup/python_packages.py --for-tests

lint: setup ## ruff, mypy, codespell
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) codespell

format: setup ## let ruff mend and format the code
	@$(RUN) ruff check --fix . || true
	@$(RUN) ruff format .

licences: setup ## the licences of all that setup fetched
	@.ros2/bin/python scripts/setup/licences.py

clean:     ## remove what was built (.ws, out); .ros2 stays
	rm -rf .ws out build install log .pytest_cache .mypy_cache .ruff_cache
