"""From a run to its nodes: the two executors, what waits and is in flight, and which nodes race."""
