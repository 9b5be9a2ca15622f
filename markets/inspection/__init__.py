"""What a source holds and what is wrong with it, without stopping at errors."""
