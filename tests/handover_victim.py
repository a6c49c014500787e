"""An agent that is killed at a named step.

`python tests/handover_victim.py WHERE before|after`, WHERE as in `agent_victim`; the environment is an agent's.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "services")]

import agent_victim  # noqa: E402

from skerry.agent import main  # noqa: E402

if __name__ == "__main__":
    agent_victim.arm(sys.argv[1], sys.argv[2])
    main.main()
