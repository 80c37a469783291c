"""Looking at the lake: what it holds, what was found in it, and which plan follows. Nothing is fetched here."""
