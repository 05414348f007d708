"""What tests of users need: databases for a while, faults on purpose, counted queries, checked migrations."""
