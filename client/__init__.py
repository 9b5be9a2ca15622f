"""A typed client of the service; the server is not needed to install it."""
