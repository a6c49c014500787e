"""Labels what the fleet captured and builds datasets of it. Meets the other services in blobs, streams and objects."""
