"""Converts domain values to and from database rows. Functions take a session; rows never leave."""
