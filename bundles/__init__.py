"""Bundles as files: the manifest, its signature, and a reading that believes nothing."""
