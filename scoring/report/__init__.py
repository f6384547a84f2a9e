"""What people look at: boards as tables, pictures, and the self-contained page."""
