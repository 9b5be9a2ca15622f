"""A demonstration: daily data inside arch, replayed through the whole service at a chosen speed."""
