"""Image classification under concept shift: classes exchange labels, again and again, for good."""
