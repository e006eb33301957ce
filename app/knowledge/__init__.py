"""A tenant's articles: read, cut into chunks, embedded, found again."""
