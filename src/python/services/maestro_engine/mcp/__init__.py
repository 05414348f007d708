"""The MCP door: every template is a tool, a workflow is a task, an approval is a question to the client."""
