"""From raw tables to periods: bars are cleaned, put into periods, cut and joined."""
