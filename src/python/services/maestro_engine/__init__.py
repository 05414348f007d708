"""The door to the workflow engine over HTTP, server-sent events and WebSocket."""
