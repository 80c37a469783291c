"""Which files should the lake hold? Seasons, games, keys, and cells: the files that follow from these."""
