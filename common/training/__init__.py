"""From one step to a run that resumes."""
