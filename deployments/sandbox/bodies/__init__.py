"""Bodies of the three sites' responses, rendered from the fictional league."""
