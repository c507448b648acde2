"""What a user of Weights & Biases has set up: environment variables, settings files and logins, read as wandb does.

wandb itself is not imported: that takes a second, and starts what a run that is not recorded there does without.
"""

from __future__ import annotations

import configparser
import json
import netrc
import os
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dml.places import expanded

SERVER = "https://api.wandb.ai"
IDENTITY_FILE, ID_FILE = "wandb.json", "wandb_id.txt"  # the latter of runs that began before the former was there
SECTION = "default"  # of settings files
TRUE = ("1", "true", "yes", "on", "y", "t")
# Words of WANDB_MODE → mode. "shared" is for several writers of a run, of which there is one here.
MODES = {
    "online": "online",
    "run": "online",
    "shared": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}
# What the variable of a setting is called where it is not WANDB_ and the setting's name.
VARIABLES = {"run_name": "WANDB_NAME", "run_job_type": "WANDB_JOB_TYPE", "run_tags": "WANDB_TAGS"}

OF_IDENTITY = {"project": "project", "group": "run_group", "name": "run_name", "job_type": "run_job_type"}
"""What wandb.init calls it → the setting."""


def setting(name: str) -> str | None:
    """The setting ``name`` as wandb's documentation spells it (``base_url``, ``project``, ``run_group`` …): of the
    environment, else of ``wandb/settings`` in the working directory, else of that in the user's home; None: unset.
    """
    value = os.environ.get(VARIABLES.get(name, f"WANDB_{name.upper()}"))
    return value or _from_files().get(name) or None


def _from_files() -> dict[str, str]:
    found: dict[str, str] = {}
    home = expanded(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb")
    for file in (home / "settings", Path(".wandb" if Path(".wandb").exists() else "wandb") / "settings"):
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, ValueError, configparser.Error):  # which wandb complains of, where it is used
            continue
        if parser.has_section(SECTION):
            found |= dict(parser[SECTION])
    return found


def server() -> str:
    """The address of the server, W&B's or one's own."""
    return (setting("base_url") or SERVER).rstrip("/")


def has_credentials() -> bool:
    """Whether W&B could log in to ``server()`` without asking: by a key or token, or by the netrc file."""
    return bool(setting("api_key") or setting("identity_token_file")) or _in_netrc(urlsplit(server()).netloc)


def _in_netrc(host: str) -> bool:
    """Whether a netrc file names ``host`` itself; its ``default`` is not meant for W&B."""
    named = os.environ.get("NETRC")
    for file in [named] if named else ["~/.netrc", "~/_netrc"]:
        try:
            return host in netrc.netrc(expanded(file)).hosts
        except FileNotFoundError:
            continue
        except (OSError, ValueError, netrc.NetrcParseError):
            return False
    return False


def choose_mode(flag: str) -> str:
    """online, offline or disabled.

    Args:
        flag: of ``--wandb``, which wins; ``auto``: what the environment says, else online where credentials are there
            already, else disabled.

    Warns:
        UserWarning: the environment says what is no mode; online without credentials, which becomes offline.
    """
    mode, who = flag, f"--wandb {flag}"
    if flag == "auto":
        mode, who = _mode_of_environment()
    if mode == "online" and not has_credentials():
        warnings.warn(
            f"{who} without credentials for {server()}: recording offline (log in with `wandb login` to change it)"
        )
        return "offline"
    return mode


def _mode_of_environment() -> tuple[str, str]:
    """The mode, and what says so."""
    if (setting("disabled") or "").lower() in TRUE:
        return "disabled", "WANDB_DISABLED"
    word = setting("mode")
    if word and word.lower() in MODES:
        return MODES[word.lower()], f"WANDB_MODE={word}"
    if word:
        warnings.warn(f"WANDB_MODE={word} is none of {', '.join(MODES)}: disregarded")
    return ("online" if has_credentials() else "disabled"), "a login"


def has_identity(folder: Path) -> bool:
    """Whether a run folder belongs to a W&B run already."""
    return any((folder / name).exists() for name in (IDENTITY_FILE, ID_FILE))


def run_identity(
    folder: Path, *, typed: Mapping[str, str | None], otherwise: Mapping[str, str]
) -> dict[str, str | None]:
    """Which W&B run belongs to a run folder: ``id``, ``entity``, ``project``, ``group``, ``name`` and ``job_type``.

    Settled when it is first asked for and kept in the folder: a continued run goes on where it began, whatever the
    environment says by then.

    Args:
        typed: project, group, name and job type that flags say, or None.
        otherwise: what they are if neither a flag nor the environment says so.

    Raises:
        OSError, ValueError: the folder's file cannot be read or written.
    """
    file = folder / IDENTITY_FILE
    if file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    old = folder / ID_FILE
    identity = {
        "id": old.read_text(encoding="utf-8").strip() if old.exists() else setting("run_id") or uuid.uuid4().hex[:8],
        "entity": setting("entity"),
    } | {key: typed.get(key) or setting(name) or otherwise[key] for key, name in OF_IDENTITY.items()}
    file.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
    return identity
