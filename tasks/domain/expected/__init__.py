"""Which files should the lake hold? Seasons, games, keys, and the cells that follow from them. Pure."""
