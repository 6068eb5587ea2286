"""The expert's kernel scripts, one file an instruction set: standalone programs under generators/CONTRACT.md."""
