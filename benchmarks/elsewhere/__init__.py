"""The expert's native sketches on a machine that has a C compiler and numpy, but not this project's toolchain."""
