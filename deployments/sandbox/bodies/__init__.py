"""The bodies that the three sites answer with, rendered from the fictional league."""
