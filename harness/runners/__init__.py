"""Ways to run a candidate: `native` is the guarded worker; later targets add one file each."""
