"""Security: keys, signatures of requests, limits, and webhooks."""
