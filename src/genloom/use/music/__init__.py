"""Music from a run: new pieces, and pieces that go on."""
