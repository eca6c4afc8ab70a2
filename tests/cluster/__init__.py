"""Two servers on one PostgreSQL under a steady load of both clients: one named fault after another, each with its bound."""
