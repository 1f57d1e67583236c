"""The measurements. NumPy computes on one thread in them, as in a worker."""

import os

# Read when NumPy is imported: threads that spin while they wait would count as CPU time.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
