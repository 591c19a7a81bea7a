# The version that `imca version` prints: the last tag, and how far this tree is from it.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: run build test check bench image help

run: ## start everything on this machine: CA, database, demo app (data in ./imca-data)
	go run ./cmd/imca dev

build: ## build bin/imca, static
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/imca ./cmd/imca

test: ## every test, with the real servers and PostgreSQL; installs what is missing (root or sudo)
	scripts/test

check: ## lint and the tests that this machine can run as it is, but for the long ones, in under three minutes
	scripts/lint
	go test -short ./...
	@# What these read is not all in their own package, so go's cached verdict may be out of date.
	go test -count=1 ./internal/layout ./deploy

bench: ## measure issuance, search and status on both databases
	scripts/bench

image: ## build the container image imca:local, which docker-compose.yml runs
	docker build --build-arg VERSION=$(VERSION) --tag imca:local .

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile
