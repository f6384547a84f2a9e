"""What `gradathlon new` copies."""
