"""Model name -> ordered targets, with the reason why."""

from dragoman.routing.route import Route
from dragoman.routing.router import Listed, Router, Row

__all__ = ["Listed", "Route", "Router", "Row"]
