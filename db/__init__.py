"""The database: engine, tables and nothing of the product. Imports SQLAlchemy alone."""

from db.connect import make_engine, make_sessions
from db.tables import Base

__all__ = ["Base", "make_engine", "make_sessions"]
