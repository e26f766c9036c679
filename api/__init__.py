"""The HTTP service: tasks in, events and checked programs out. It translates; all deciding is done in `atlas`."""

from api.app import create_app, serve
from api.config import ApiConfig

__all__ = ["ApiConfig", "create_app", "serve"]
