"""A real PostgreSQL for tests: found on the machine or taken from a wheel, started once, ended with the session."""
