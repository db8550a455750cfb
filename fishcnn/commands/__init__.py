"""What a user runs: only here Hydra, rich and the terminal."""

import os.path

from fishcnn.utils.stopping import watch_program

# Before anything else is imported, which can take seconds.
watch_program(os.path.abspath(os.path.join(__file__, "../../../scripts")))
