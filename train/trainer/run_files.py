"""The names of what lies in a run's folder beside checkpoints: its log, the table of its parameters, earlier runs."""

import re

LOG = "main.log"
PARAMETERS = "run_parameters.txt"
EARLIER = re.compile(r"earlier-([1-9]\d{0,8})")
"""The folders of runs that a new one in the same folder has set aside."""
PROBE = ".probe"
"""The folder in which a probe trains, hidden so that it is never uploaded."""
