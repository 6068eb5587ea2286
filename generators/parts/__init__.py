"""What several kernel scripts share; `generators.generator.standalone` puts it into each script that imports it."""
