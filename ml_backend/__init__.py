"""The HTTP backend: Label Studio's endpoints, the JSON API and the dashboard."""
