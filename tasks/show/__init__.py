"""The look of answers: text, pictures, pages and JSON. Nothing here reads the lake or decides anything."""
