"""The machine: targets, operators, building, running, verifying, searching and storing. No pytest, no LLM, no HTML."""
