"""Stand-in for the three sites: a fictional league behind the real URLs, with rate limits, faults and demonstrations.

It exists only in a source checkout, not in the wheel or the image, so other modules import it only where they use it.
"""
