"""Training jobs: started, watched and ended by name, so that a controller that restarts finds what it had begun."""
