"""In which state is each cell, and why? What was found in files, and what follows from it. Pure."""
