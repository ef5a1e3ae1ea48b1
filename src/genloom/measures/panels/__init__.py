"""What the judge measures, a panel a kind of data."""
