"""A trial in a process of its own: how it starts, who watches it from outside, how it all ends."""
