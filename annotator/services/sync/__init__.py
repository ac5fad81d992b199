"""Sync in both directions between Label Studio and the database: events, pulls, uploads, pushes."""
