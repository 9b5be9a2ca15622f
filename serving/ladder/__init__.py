"""The ladder: what is answered when something better is missing, never less margin."""
