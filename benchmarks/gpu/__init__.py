"""GPU operators against cuBLAS, cuBLASLt and cuDNN; see `python -m benchmarks.gpu --help`."""
