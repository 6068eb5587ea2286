"""Standing measurements of the harness itself: each is a module to run and quotes what it measured."""
