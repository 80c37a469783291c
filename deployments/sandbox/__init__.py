"""A stand-in for the three sites: a fictional league behind the real URLs, with limits and faults; ADCE shown on it."""
