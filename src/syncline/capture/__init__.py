"""How a mark gets into the transaction that changes a record: by triggers, by SQLAlchemy, by the application."""
