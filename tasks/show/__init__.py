"""How answers look to programs and people. What an answer is, is decided before it comes here."""
