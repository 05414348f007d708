"""`python -m maestro_audit_logger` is the command `maestro-audit`."""

from maestro_audit_logger._command import main

raise SystemExit(main())
