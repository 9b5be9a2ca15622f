"""The model itself, by the Open Inference Protocol, version 2."""
