"""`perception host ...` with the plugins of these tests: `python run_host.py ARGUMENTS`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[4])
    sys.path.append("/usr/lib/python3/dist-packages")  # rospy, behind all others as by a .pth file
    from tests.plugins.hosts.loopback.plugins import register

    register()
    sys.argv = ["perception", "host", *sys.argv[1:]]
    from perception_tools.cli import main

    main()
