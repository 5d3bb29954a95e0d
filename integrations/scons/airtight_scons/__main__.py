"""`python3 -m airtight_scons` prints the directory for `scons --site-dir`."""

import os

print(os.path.join(os.path.dirname(os.path.abspath(__file__)), "site_scons"))
