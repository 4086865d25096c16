"""The environment of jobs: it names no place from which a user typed a command, and no folder of a delivery.

Every process that the project starts inherits it, on this machine and on a cluster.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path

# The folder or the words of a user's command, by shells, sudo, SSH, make and batch systems.
_OF_THE_USER = re.compile(
    "PWD|OLDPWD|_|SUDO_COMMAND|SSH_ORIGINAL_COMMAND|SSH_CLIENT|SSH_CONNECTION|SSH_TTY|MAKEFLAGS|MFLAGS|MAKE_TERMOUT"
    "|[A-Z]+_SUBMIT_DIR|[A-Z]+_O_WORKDIR|LS_SUBCWD|LSB_JOBNAME|DIRENV_.*"
)
_OURS = "BAEKMAN_"  # an option of the user: where it is one, jobs need it
_LISTS = re.compile("PATH|.*PATH")

# Variables of the registry and of keys: no job opens the registry, or what only a key opens.
KEY_VARIABLES = (
    "BAEKMAN_REGISTRY",
    "BAEKMAN_REGISTRY_KEY",
    "BAEKMAN_CRYPT4GH_KEY",
    "BAEKMAN_CRYPT4GH_PASSPHRASE",
)


def forget_places(environment: MutableMapping[str, str], *folders: Path) -> None:
    """Delete the variables that name the place of a user's command, or a path in ``folders``.

    A variable with a list of paths, such as ``PATH``, loses only those in ``folders``. Variables of the project stay.
    """
    forms = {str(form) for folder in folders for form in (folder, folder.absolute(), folder.resolve())}
    paths = [re.escape(form) for form in sorted(forms) if form.startswith(os.sep) and form != os.sep]
    hidden = re.compile(rf"(?:{'|'.join(paths)})(?![\w.-])" if paths else "(?!)")
    for name, value in list(environment.items()):
        if name.startswith(_OURS):
            continue
        if _OF_THE_USER.fullmatch(name):
            del environment[name]
        elif hidden.search(value):
            kept = [entry for entry in value.split(os.pathsep) if not hidden.search(entry)]
            if _LISTS.fullmatch(name) and kept:
                environment[name] = os.pathsep.join(kept)
            else:
                del environment[name]
