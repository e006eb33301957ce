"""The console: where people review drafts. Server-rendered; works without its scripts, quicker with them."""
