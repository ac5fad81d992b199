"""Two ways between Label Studio and the database: events, pulls, uploads, pushes."""
