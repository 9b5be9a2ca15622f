"""The service put together: journal, calculator, ladder, table, publisher and streams."""
