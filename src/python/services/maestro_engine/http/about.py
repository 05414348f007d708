"""What the contract says of itself."""

CONTRACT_VERSION = "0.3.0"
"""Rises when the document changes: the minor number for what breaks a client as long as the major one is 0."""

ABOUT = """\
Durable workflows over tools: start and follow them, answer what they ask, and steer them while they run.

A command to a running workflow (cancel, pause, resume, signal, answer, retry, skip, budget, priority) is answered once
it is stored; `seq` in the answer is its last event. `GET …/why` tells why a workflow has not ended.

Every error is an `application/problem+json` document (RFC 9457) with a stable `code`. Every answer carries
`X-Request-Id`; send one to find your request in the logs.

Where callers sign in, they send an API key as `Authorization: Bearer mst_…`. A viewer reads, an approver also
answers what workflows ask of people, an operator also starts and steers workflows and keeps templates and schedules,
an admin also manages users, secrets, flow limits and webhooks, deletes, and reads the audit log.

`WS /ws` sends stored events as they are. Send `{"type": "subscribe", "workflow_id": …, "from_seq": 1}` or
`{"type": "subscribe", "from_position": 0}` for all workflows, and `unsubscribe` likewise; messages whose type begins
with `feed.` (`subscribed`, `unsubscribed`, `ended`, `error`, `heartbeat`) are about the subscription itself. A browser,
which cannot send the header, signs in with its first message: `{"type": "authenticate", "token": "mst_…"}`. A socket
is closed with 4008 when it reads too slowly (the reason says where to go on), 4400 when a message is not JSON, 4401 or
4403 when its caller may not read, 1001 when the engine stops and 1013 when too many readers are connected.
"""
