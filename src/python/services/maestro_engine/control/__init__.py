"""What people do to running workflows: pause, signal, answer, retry, skip, run again, migrate; and flow limits."""
