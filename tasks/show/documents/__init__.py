"""Which JSON do the commands print? Programs read it, so the names of fields must not change."""
