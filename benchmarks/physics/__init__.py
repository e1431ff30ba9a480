"""Speed of projection, of the dose simulator and of simulated training patches."""
