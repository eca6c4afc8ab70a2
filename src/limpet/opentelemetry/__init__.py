"""An import path of the official package; the names live in `limpet.sdk`."""
