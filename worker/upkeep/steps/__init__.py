"""Healing: each step finds one kind of damage with `find()` and mends it with `mend()`.

The sweep and doctor run the same steps. A mending is a compare-and-set, so any number may run at once.
"""
