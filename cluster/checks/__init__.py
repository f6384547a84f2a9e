"""What `gradathlon check`, `conformance`, `parity`, `step-cost` and `doctor` find out."""
