"""What reviewers made of drafts, as a curve from raw scores to confidence. Pure."""
