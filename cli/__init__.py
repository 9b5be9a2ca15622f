"""The foremargin command: one verb, one module."""


def main() -> None:
    """Run the command."""
