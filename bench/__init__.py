"""How fast and how small, measured on whole processes. `make bench` runs everything; README.md shows the figures."""
