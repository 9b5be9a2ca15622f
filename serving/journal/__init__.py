"""The journal: what was acknowledged is on the disk, in order, in a chain of hashes."""
