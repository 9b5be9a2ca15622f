"""What can be wrong with data: one check after the other, each a finding."""
