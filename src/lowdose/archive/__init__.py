"""Every series of an archive, on one machine or on many (Ray Data); what is done stays done, whatever dies."""
