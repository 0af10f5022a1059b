"""What readers' reactions say, by statistics alone: pure, no database."""
