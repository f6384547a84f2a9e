"""The checks behind `gradathlon check`, `conformance`, `parity`, `step-cost` and `doctor`."""
