"""Kills the programs of a project at random points and counts what is left; see ``__main__``."""
