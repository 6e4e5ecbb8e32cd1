.PHONY: run test test-tls test-tsan format lint bench

run: ; @Scripts/run
test: ; @Scripts/test
test-tls: ; @Scripts/test-tls
test-tsan: ; @Scripts/test-tsan
lint: ; @Scripts/lint
format: ; @swift format --in-place --parallel --recursive Package.swift Sources Drivers Examples Tests
bench: ; @Benchmarks/run
