"""Engines that run a network on one kind of hardware, the check of their accuracy in HU, and the choice among them."""
