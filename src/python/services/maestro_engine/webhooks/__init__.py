"""What happens to workflows, told to the world: CloudEvents through a broker, and webhooks that follow them."""
