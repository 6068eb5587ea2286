"""
Calibrate: fit a timing model to microbenchmarks that its owner runs on a board.

`probes` says what is run, an instruction set a file (`riscv`, `neon`) what it is in assembly; `program` makes a static
program of it, `board.c`, that needs nothing on the board; `fit` turns its output into parameters of the target file.
"""
