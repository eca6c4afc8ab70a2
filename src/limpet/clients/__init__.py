"""An import path of the official package; the names live in the modules below."""
