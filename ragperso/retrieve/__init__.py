"""Stage 3, retrieve: find, fuse, judge and order what answers a query."""
