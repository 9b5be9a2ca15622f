"""The live page: margins, what they rest on and how they held, without a framework or a build."""

from .routes import CONTENT_SECURITY_POLICY, page_routes

__all__ = ["CONTENT_SECURITY_POLICY", "page_routes"]
