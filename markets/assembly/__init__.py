"""From periods and observations to a panel on one time axis."""
