"""A stand-in for the three sites: a fictional league behind the real URLs, with limits and faults; ADCE shown on it.

It is in a source checkout only: neither the wheel nor the image has it, and no module outside needs it to be imported.
"""
