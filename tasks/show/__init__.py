"""How answers look: pictures, pages and JSON. Nothing here looks at the lake or decides anything."""
