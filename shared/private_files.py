"""Files of the service are closed to strangers of the host, whichever program makes them.

`gonogo up` closes its data dir to the group as well. Programs that are started one by one may run as several users of
one group, so the group keeps what the umask gives it.
"""

import os
import stat
from pathlib import Path

from shared.errors import SettingsError

# A data dir has at least one of these from its first start on.
_OURS = {"gonogo.db", "admin-key", "blobs"}


def close_to_strangers(data_dir: Path) -> None:
    """Let this process make no file that all may read, and close the data dir to all others where it is ours.

    Raises SettingsError for a folder of others.
    """
    os.umask(os.umask(stat.S_IRWXO) | stat.S_IRWXO)
    if not data_dir.exists():
        return
    found = data_dir.stat()
    if found.st_mode & stat.S_IRWXO and found.st_uid == os.geteuid():
        refuse_others(data_dir)
        data_dir.chmod(stat.S_IMODE(found.st_mode) & ~stat.S_IRWXO)


def refuse_others(data_dir: Path) -> None:
    """Raise SettingsError for a folder that holds files, and none of ours: to close `/` would end the system."""
    names = sorted(path.name for path in data_dir.iterdir())
    others = [name for name in names if not name.startswith(".") and name != "lost+found"]
    if others and not _OURS & {*names}:
        shown = ", ".join(others[:3])
        raise SettingsError(
            f"{data_dir} is open to others and holds files that are not of this service ({shown}): name a folder of its"
            f" own, or close this one first (chmod go-rwx {data_dir})"
        )
