"""Files of the service are closed to strangers of the host, whichever program makes them.

`gonogo up` closes its data dir to the group as well. Programs that are started one by one may run as several users of
one group, so the group keeps what the umask gives it.
"""

import os
import stat
from pathlib import Path


def close_to_strangers(data_dir: Path) -> None:
    """Let this process make no file that all may read, and close the data dir to all others where it is ours."""
    os.umask(os.umask(stat.S_IRWXO) | stat.S_IRWXO)
    if not data_dir.exists():
        return
    found = data_dir.stat()
    if found.st_mode & stat.S_IRWXO and found.st_uid == os.geteuid():
        data_dir.chmod(stat.S_IMODE(found.st_mode) & ~stat.S_IRWXO)
