"""The names of the files of a run that is no checkpoint: its log and the table of its parameters."""

LOG = "main.log"
PARAMETERS = "run_parameters.txt"
