"""What several test modules share: small phantoms and scanners, tiny networks, reference implementations."""
