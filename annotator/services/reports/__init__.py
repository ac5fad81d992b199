"""What people are told of a project, a task and its health. Nothing is changed."""
