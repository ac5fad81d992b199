"""Domain values in and out of database rows. Functions take a session; rows never leave."""
