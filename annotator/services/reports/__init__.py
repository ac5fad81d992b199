"""Reports on a project, a task and their health. Nothing is changed."""
