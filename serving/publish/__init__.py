"""Signed updates for contracts: EIP-712, Merkle batches, and who verifies them."""
