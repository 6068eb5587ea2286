"""Reports of a run, for a terminal, Markdown, HTML and JSON: they read records and nothing else."""
