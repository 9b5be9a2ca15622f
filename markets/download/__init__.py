"""Downloads that are asked for again, resumed, and checked; and what a network source is."""
