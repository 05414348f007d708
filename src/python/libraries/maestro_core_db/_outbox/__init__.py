"""The transactional outbox: messages that leave if, and only if, the transaction that wrote them is committed."""
