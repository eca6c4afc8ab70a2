"""Wire messages in, engine values out, and the other way round. Names that mean something else on the wire stop here."""
