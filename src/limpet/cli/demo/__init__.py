"""`limpet demo`: the main job, shown with real processes. `stage` runs them, `acts` play, `command` shows."""
