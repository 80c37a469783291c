"""Observation of the lake: what it holds, what its files say, and which plan follows. Nothing is fetched here."""
