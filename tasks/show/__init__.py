"""How answers look: pictures and pages. Nothing here looks at the lake or decides anything."""
