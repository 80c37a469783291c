"""In which state is each cell, and why? What the files contain, and what follows from it. Pure."""
