"""Pages, plots and evidence."""
