"""Generators: turn a spec and a target into text and answers; they never build, run or time anything."""
