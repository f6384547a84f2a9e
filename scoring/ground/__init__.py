"""The ground floor: words, errors and documents that every room shares. It imports no room."""
