"""Facts about the machine."""

import ctypes
import os
import platform
import subprocess
import sys

import numpy as np

from .._core import __version__, describe_devices, devices
from ..wording import counted


def describe_machine() -> dict[str, str]:
    """Return versions, system, processor and devices, for people to read."""
    facts = {
        "mpsmnist": __version__,
        "Python": f"{platform.python_version()}, NumPy {np.__version__}",
        "system": f"{platform.platform()}, {platform.machine()}",
        "processor": f"{_processor_name()}, {counted(os.cpu_count() or 1, 'core')}",
    }
    if sys.platform == "darwin":
        facts |= _describe_mac()
    facts["devices"] = ", ".join(devices())
    for device, described in describe_devices().items():
        facts |= {f"{device} {name.replace('_', ' ')}": value for name, value in described.items()}
    return facts


def _describe_mac() -> dict[str, str]:
    version, build = (_output("/usr/bin/sw_vers", option) for option in ("-productVersion", "-buildVersion"))
    return {"macOS": f"{version}, build {build}", "Rosetta": "yes" if _is_translated() else "no"}


def _is_translated() -> bool:
    """Ask as Apple's "About the Rosetta translation environment" does; elsewhere there is no such name."""
    translated = ctypes.c_int(0)
    size = ctypes.c_size_t(ctypes.sizeof(translated))
    sysctl = ctypes.CDLL(None).sysctlbyname
    sysctl(b"sysctl.proc_translated", ctypes.byref(translated), ctypes.byref(size), None, ctypes.c_size_t(0))
    return translated.value == 1


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def _processor_name() -> str:
    if sys.platform == "darwin":
        return _output("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string")
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or "unknown"
