"""Denoise every series of an archive on one machine or many (Ray Data); finished series survive any crash."""
