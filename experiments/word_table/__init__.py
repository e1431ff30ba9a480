"""Choice and construction of the shipped table of words."""
