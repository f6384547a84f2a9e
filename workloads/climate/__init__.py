"""Emulation of an atmosphere over a slab ocean under several CO2 levels, one step at a time."""
